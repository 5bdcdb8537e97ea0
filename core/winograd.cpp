#include "winograd.h"

#include <algorithm>

namespace striate {

bool winograd_fits(const ConvShape& s) {
    return s.KH == s.KW && (s.KW == 3 || s.KW == 5) && s.stride_h * s.stride_w == 1 &&
           s.dilation_h * s.dilation_w == 1 && s.groups == 1;
}

namespace {

int64_t padded(int64_t channels) {
    return (channels + kMostLanes - 1) / kMostLanes * kMostLanes;
}

// Whether minimal filtering of so many rows and columns from C to O channels is faster
// than direct convolution. Its own multiply-adds are 36 a tile; transforms cost as much
// as six channels more on both sides would, and those of each kernel as much as 3.3
// multiply-adds a tap. Measured over 8 - 128 channels and maps of 4 x 4 - 32 x 32 it is
// off by a tenth, hence the margin; for the 3 channels of colours it is off by more,
// nearly all is transforms, and direct convolution at least as fast. One tile costs as
// much as two: its products wait for loads.
bool pays(const ConvShape& s, int64_t O, int64_t rows, int64_t columns) {
    if (std::min(s.C, s.O) < kWinogradChannels) return false;
    const int64_t tile = 7 - s.KW, taps = s.KH * s.KW;
    const int64_t tiles = (rows + tile - 1) / tile * ((columns + tile - 1) / tile);
    const double products = 36.0 * double(std::max<int64_t>(tiles, 2));
    const double filtering =
        products * double((s.C + 6) * (O + 6)) + 3.3 * double(s.C * O * taps);
    return double(taps * s.C * s.O * s.OH * s.OW) > 1.2 * filtering;
}

}  // namespace

Filtering winograd_filtering(const WinogradShape& shape) {
    const ConvShape& s = shape.conv;
    return {pays(s, s.O, s.OH, s.OW), pays(s, s.O, shape.rows, shape.columns),
            pays(s, padded(s.O), s.OH, s.OW), shape};
}

int64_t winograd_scratch(const ConvShape& s) {
    const int64_t held = kWinogradTiles * kMostLanes, units = padded(s.O);
    // Kernels or their gradients, then what goes into the products and comes out.
    return 36 * (s.C * units + held * (s.C + units) + 3 * kMostLanes);
}

}  // namespace striate

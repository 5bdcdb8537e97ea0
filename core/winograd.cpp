#include "winograd.h"

#include <algorithm>

namespace striate {

bool winograd_fits(const ConvShape& s) {
    return s.KH == 3 && s.KW == 3 && s.stride_h * s.stride_w == 1 &&
           s.dilation_h * s.dilation_w == 1 && s.groups == 1;
}

namespace {

int64_t padded(int64_t channels) { return (channels + kLanes - 1) / kLanes * kLanes; }

// Whether minimal filtering of so many rows and columns is faster than `direct`
// multiply-adds. Its own are 36 a tile; transforms cost as much as six channels more on
// both sides would, those of the kernels 30 each. Measured over 3 - 128 channels and
// maps of 4 x 4 - 32 x 32 it is off by a tenth, hence the margin. One tile alone costs
// as much as two: its products wait for loads.
bool pays(double direct, int64_t C, int64_t O, int64_t rows, int64_t columns) {
    const int64_t tiles = (rows + 3) / 4 * ((columns + 3) / 4);
    const double products = double(std::max<int64_t>(tiles, 2) * (C + 6) * (O + 6));
    return direct > 1.2 * (36.0 * products + 30.0 * double(C * O));
}

}  // namespace

Filtering winograd_filtering(const WinogradShape& shape) {
    const ConvShape& s = shape.conv;
    const double direct = 9.0 * double(s.C * s.O * s.OH * s.OW);
    return {pays(direct, s.C, s.O, s.OH, s.OW),
            pays(direct, s.C, s.O, shape.rows, shape.columns),
            pays(direct, s.C, padded(s.O), s.OH, s.OW), shape};
}

int64_t winograd_scratch(const ConvShape& s) {
    const int64_t held = kWinogradTiles * kLanes, units = padded(s.O);
    // Kernels or their gradients, then what goes into the products and comes out.
    return 36 * (s.C * units + held * (s.C + units) + 3 * kLanes);
}

}  // namespace striate

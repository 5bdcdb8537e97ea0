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

// What transforms cost the gradients; direct convolution's are slower than its forward
// pass where registers are few, so that this serves all instruction sets.
constexpr double kGradientTransforms = 6.5;

// Whether minimal filtering of so many rows and columns from C to O channels is faster
// than direct convolution. Its own multiply-adds are 36 a tile; transforms cost as much
// as `transforms` more for each channel of either side, and those of each kernel as
// much as 2 a tap. One tile costs as much as two: its products wait for loads. Measured
// with all pairs of 6 - 128 channels and maps of 4 x 4 - 56 x 56, 2742 passes: where
// this takes the slower way, the loss is 0.6 % of the time in the mean over all of them
// with AVX-512 and 0.4 % with AVX2.
bool pays(const ConvShape& s, int64_t O, int64_t rows, int64_t columns,
          double transforms) {
    if (std::min(s.C, s.O) < kWinogradChannels) return false;
    const int64_t tile = 7 - s.KW, taps = s.KH * s.KW;
    const int64_t tiles = (rows + tile - 1) / tile * ((columns + tile - 1) / tile);
    const double products = 36.0 * double(std::max<int64_t>(tiles, 2));
    const double filtering =
        products * (double(s.C * O) + transforms * double(s.C + O) + 8.0) +
        2.0 * double(s.C * s.O * taps);
    return double(taps * s.C * s.O * s.OH * s.OW) > filtering;
}

}  // namespace

Filtering winograd_filtering(const WinogradShape& shape, double transforms) {
    const ConvShape& s = shape.conv;
    return {pays(s, s.O, s.OH, s.OW, transforms),
            pays(s, s.O, shape.rows, shape.columns, kGradientTransforms),
            pays(s, padded(s.O), s.OH, s.OW, kGradientTransforms), shape};
}

int64_t winograd_scratch(const ConvShape& s) {
    const int64_t held = kWinogradTiles * kMostLanes, units = padded(s.O);
    // Kernels or their gradients, then what goes into the products and comes out.
    return 36 * (s.C * units + held * (s.C + units) + 3 * kMostLanes);
}

}  // namespace striate

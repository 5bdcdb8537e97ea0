#include "winograd.h"

#include <algorithm>

namespace striate {

bool winograd_fits(const ConvShape& s) {
    return s.KH == 3 && s.KW == 3 && s.stride_h * s.stride_w == 1 &&
           s.dilation_h * s.dilation_w == 1 && s.groups == 1;
}

Filtering winograd_filtering(WinogradShape shape) {
    const ConvShape& s = shape.conv;
    const int64_t bytes = 36 * kLanes * 4 * (s.C + s.O);
    shape.group = std::clamp<int64_t>((int64_t(1) << 20) / bytes, 4, 7);
    const bool pays = s.C >= 8 && s.O >= 8 && s.OH * s.OW >= 36;
    return {pays, pays, pays, shape};
}

int64_t winograd_scratch(const WinogradShape& shape) {
    const int64_t C = shape.conv.C, O = (shape.conv.O + kLanes - 1) / kLanes * kLanes;
    const int64_t held = shape.group * kLanes;
    // Kernels or their gradients, then what goes in and out of the 36 products.
    return 36 * (C * O + C * held + held * O + 3 * kLanes);
}

}  // namespace striate

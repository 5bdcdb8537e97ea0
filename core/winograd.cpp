#include "winograd.h"

#include <algorithm>

namespace striate {

int64_t winograd_group(const ConvShape& conv) {
    const int64_t bytes = 36 * kLanes * 4 * (conv.C + conv.O);
    return std::clamp<int64_t>((int64_t(1) << 20) / bytes, 4, 7);
}

int64_t winograd_scratch(const WinogradShape& shape) {
    const int64_t C = shape.conv.C, O = (shape.conv.O + kLanes - 1) / kLanes * kLanes;
    const int64_t held = shape.group * kLanes;
    // Kernels or their gradients, then what goes in and out of the 36 products.
    return 36 * (C * O + C * held + held * O + 3 * kLanes);
}

}  // namespace striate

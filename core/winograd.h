// Where convolutions go by Winograd's minimal filtering, and the memory that takes.
#pragma once

#include "kernels.h"

namespace striate {

// The points a and b of the transforms (winograd.inl).
//
// Floats hold their powers exactly, and of the pairs tried, 1 and 2, 1/2 and 1, 1/2 and
// 2 and some dozen others, they have the least error: half of that of 1 and 2, which is
// 1.8e-6 of the output at 64 channels; direct convolution's is 0.4e-6.
constexpr float kWinogradNear = 0.625f, kWinogradFar = 1.5f;
// Tiles whose transforms are held at a time: few, for the cache, but as many as make a
// good tile of registers. From 4 to 6 are equally fast at 32 to 128 channels.
constexpr int64_t kWinogradTiles = 5;

// The fewest channels on both sides: for the 3 or 4 of colour images nearly all is
// transforms, and neither way is much faster on all instruction sets.
constexpr int64_t kWinogradChannels = 5;

// Which passes of a convolution go by minimal filtering, and their shape.
struct Filtering {
    bool forward = false, input_gradient = false, weight_gradient = false;
    WinogradShape shape{};
    bool any() const { return forward || input_gradient || weight_gradient; }
};

// Whether it has the kernels' form.
bool winograd_fits(const ConvShape& conv);

// The choice, by the shape and by Kernels::transforms of the instruction set.
Filtering winograd_filtering(const WinogradShape& shape, double transforms);

// Values of scratch memory that each of the three kernels may use.
int64_t winograd_scratch(const ConvShape& conv);

namespace reference {
template <class T, int L>
void winograd_forward(const WinogradShape& shape, const T* x, const T* w, const T* bias,
                      T* y, T* scratch);
template <class T, int L>
void winograd_input_gradient(const WinogradShape& shape, int64_t first, int64_t last,
                             const T* w, const T* dy, T* dx, T* scratch);
template <class T, int L>
void winograd_weight_gradient(const WinogradShape& shape, const T* x, const T* dy,
                              T* dw, T* db, T* scratch);
}  // namespace reference

}  // namespace striate

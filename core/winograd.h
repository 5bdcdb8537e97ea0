// Where convolutions go by Winograd's minimal filtering, and the memory that takes.
#pragma once

#include "kernels.h"

namespace striate {

// The points a and b of the transforms (winograd.inl).
constexpr float kWinogradNear = 0.625f, kWinogradFar = 1.5f;

// Which passes of a convolution go by minimal filtering, and their shape.
struct Filtering {
    bool forward = false, input_gradient = false, weight_gradient = false;
    WinogradShape shape{};
};

// Whether it has the kernels' form.
bool winograd_fits(const ConvShape& conv);

// The choice for a shape alone, but for its `group`, which is chosen too.
Filtering winograd_filtering(WinogradShape shape);

// Values of scratch memory that each of the three kernels may use.
int64_t winograd_scratch(const WinogradShape& shape);

namespace reference {
template <class T>
void winograd_forward(const WinogradShape& shape, const T* x, const T* w, const T* bias,
                      T* y, T* scratch);
template <class T>
void winograd_input_gradient(const WinogradShape& shape, const T* w, const T* dy, T* dx,
                             T* scratch);
template <class T>
void winograd_weight_gradient(const WinogradShape& shape, const T* x, const T* dy,
                              T* dw, T* db, T* scratch);
}  // namespace reference

}  // namespace striate

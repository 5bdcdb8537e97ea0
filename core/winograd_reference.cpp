// The reference twins of Winograd's minimal filtering: what it computes is convolution.
#include "dispatch.h"
#include "winograd.h"

namespace striate::reference {

namespace {
template <class T, int L>
const Kernels<T>& twin() {
    return reference_kernels<T>().of(L);
}
}  // namespace

template <class T, int L>
void winograd_forward(const WinogradShape& shape, const T* x, const T* w, const T* bias,
                      T* y, T*) {
    twin<T, L>().conv_forward(shape.conv, x, w, bias, nullptr, y);
}

template <class T, int L>
void winograd_input_gradient(const WinogradShape& shape, int64_t first, int64_t last,
                             const T* w, const T* dy, T* dx, T*) {
    const ConvShape& s = shape.conv;
    twin<T, L>().conv_input_gradient(s, first, last, w, dy, nullptr, nullptr, dx);
    for (int64_t i = 0; i < (last - first) * s.H * s.W; ++i) {
        const int64_t row = i / s.W % s.H - shape.top, column = i % s.W - shape.left;
        if (row >= 0 && row < shape.rows && column >= 0 && column < shape.columns)
            continue;
        for (int l = 0; l < L; ++l) dx[i * L + l] = T(0);
    }
}

template <class T, int L>
void winograd_weight_gradient(const WinogradShape& shape, const T* x, const T* dy,
                              T* dw, T* db, T*) {
    twin<T, L>().conv_weight_gradient(shape.conv, x, dy, dw, db);
}

#define STRIATE_INSTANTIATE(T, L)                                                     \
    template void winograd_forward<T, L>(const WinogradShape&, const T*, const T*,    \
                                         const T*, T*, T*);                           \
    template void winograd_input_gradient<T, L>(const WinogradShape&, int64_t,        \
                                                int64_t, const T*, const T*, T*, T*); \
    template void winograd_weight_gradient<T, L>(const WinogradShape&, const T*,      \
                                                 const T*, T*, T*, T*);
STRIATE_INSTANTIATE(float, 16)
STRIATE_INSTANTIATE(float, 8)
STRIATE_INSTANTIATE(double, 16)
STRIATE_INSTANTIATE(double, 8)
#undef STRIATE_INSTANTIATE

}  // namespace striate::reference

// A convolution and the max pool behind it, taken a band of rows at a time, up and
// down: what lies between the two, and its gradient, stay in the second-level cache.
#include <algorithm>

#include "plan.h"

namespace striate {

namespace {

// To the last band belong also the rows that no window reaches.
template <class Visit>
void for_each_band(const Step& conv, const Step& pool, const Visit& visit) {
    const int64_t rows = band_rows(conv, pool), window = pool.kernel[0];
    for (int64_t first = 0; first < pool.out.H; first += rows) {
        const int64_t now = std::min(rows, pool.out.H - first), above = first * window;
        const bool last = first + now == pool.out.H;
        visit(Band{first, now, above, last ? conv.out.H - above : now * window});
    }
}

// The band's part of a convolution to so many channels, or groups of them: of its input
// it reads planes as they lie.
ConvShape conv_shape(const Step& conv, const Range& range, const Band& band) {
    ConvShape part = conv.conv();
    part.O = range.size(conv.out.C);
    if (conv.groups > 1) {
        part.C = range.size(conv.in.C);
        part.groups = range.size(conv.groups);
    }
    part.OH = band.height;
    return part;
}
int64_t first_input(const Step& conv, const Band& band, int lanes) {
    return band.above * conv.stride[0] * conv.in.W * lanes;
}

// One channel of the pool.
PoolShape pool_shape(const Step& pool, const Band& band) {
    PoolShape part = pool.pool();
    part.C = 1;
    part.H = band.height;
    part.OH = band.rows;
    return part;
}
// In values as wide as the block.
int64_t first_output(const Step& pool, int64_t channel, const Band& band) {
    return (channel * pool.out.H + band.first) * pool.out.W;
}

}  // namespace

template <class T>
void Plan<T>::forward_by_bands(const Passage<T>& passage, size_t step,
                               const Range& range, const T* x, const T* w,
                               const T* bias, const ActivationRule* rectifier) const {
    const size_t pool_step = passage.program.pooled[step];
    const Step &conv = steps_[step], &pool = steps_[pool_step];
    const int64_t channel = range.begin(conv.out.C);
    T *between = passage.scratch, *y = output(int64_t(pool_step), passage);
    int32_t* winners = passage.arena.winners.get();
    const auto& kernels = passage.kernels;
    if (winners) winners += winner_offset_[pool_step] * kernels.lanes;
    for_each_band(conv, pool, [&](const Band& band) {
        kernels.conv_forward(conv_shape(conv, range, band),
                             x + first_input(conv, band, kernels.lanes), w, bias,
                             rectifier, between);
        const PoolShape shape = pool_shape(pool, band);
        const int64_t plane = band.height * conv.out.W * kernels.lanes;
        for (int64_t c = 0; c < range.size(conv.out.C); ++c) {
            const int64_t at = first_output(pool, channel + c, band) * kernels.lanes;
            kernels.max_pool_forward(shape, between + c * plane, y + at,
                                     winners ? winners + at : nullptr);
        }
    });
}

// The gradient of what lies between, of a range of its channels.
template <class T>
void Plan<T>::gradient_of_band(const Passage<T>& passage, size_t pool_step,
                               int64_t channel, int64_t channels, const Band& band,
                               T* between) const {
    const Step& pool = steps_[pool_step];
    const size_t beyond = passage.program.beyond[pool_step];
    const ActivationRule* rectifier = beyond ? &steps_[beyond].rule : nullptr;
    const T* y = output(int64_t(pool_step), passage);
    const T* dy = gradient(int64_t(pool_step), passage);
    const auto& kernels = passage.kernels;
    const int32_t* winners =
        passage.arena.winners.get() + winner_offset_[pool_step] * kernels.lanes;
    const PoolShape shape = pool_shape(pool, band);
    const int64_t plane = band.height * pool.in.W * kernels.lanes;
    for (int64_t c = 0; c < channels; ++c) {
        const int64_t at = first_output(pool, channel + c, band) * kernels.lanes;
        kernels.max_pool_backward(shape, winners + at, rectifier, y + at, dy + at,
                                  between + c * plane);
    }
}

template <class T>
void Plan<T>::weight_gradient_by_bands(const Passage<T>& passage, size_t step,
                                       const Range& range, const T* x, T* dw,
                                       T* db) const {
    const size_t pool_step = passage.program.pooled[step];
    const Step& conv = steps_[step];
    const auto& kernels = passage.kernels;
    for_each_band(conv, steps_[pool_step], [&](const Band& band) {
        gradient_of_band(passage, pool_step, range.begin(conv.out.C),
                         range.size(conv.out.C), band, passage.scratch);
        kernels.conv_weight_gradient(conv_shape(conv, range, band),
                                     x + first_input(conv, band, kernels.lanes),
                                     passage.scratch, dw, db);
    });
}

// Of a 1 x 1 convolution: the gradients of bands are bands.
template <class T>
void Plan<T>::input_gradient_by_bands(const Passage<T>& passage, size_t step,
                                      const Range& range,
                                      const ActivationRule* rectifier, const T* given,
                                      T* dx) const {
    const size_t pool_step = passage.program.pooled[step];
    const Step& conv = steps_[step];
    const int64_t channel = range.begin(conv.in.C), count = range.size(conv.in.C);
    const auto& kernels = passage.kernels;
    for_each_band(conv, steps_[pool_step], [&](const Band& band) {
        const int64_t pixels = band.height * conv.in.W;
        T *between = passage.scratch,
          *below = between + conv.out.C * pixels * kernels.lanes;
        gradient_of_band(passage, pool_step, 0, conv.out.C, band, between);
        ConvShape shape = conv.conv();
        shape.H = shape.OH = band.height;
        kernels.conv_input_gradient(shape, channel, channel + count,
                                    passage.weights + conv.weight, between, nullptr,
                                    nullptr, below);
        for (int64_t c = 0; c < count; ++c) {
            const int64_t at = (c * conv.in.H + band.above) * conv.in.W * kernels.lanes;
            std::copy_n(below + c * pixels * kernels.lanes, pixels * kernels.lanes,
                        dx + at);
            if (rectifier)
                kernels.activation_backward(*rectifier, pixels, given + at, dx + at);
        }
    });
}

#define STRIATE_INSTANTIATE(T)                                                        \
    template void Plan<T>::forward_by_bands(const Passage<T>&, size_t, const Range&,  \
                                            const T*, const T*, const T*,             \
                                            const ActivationRule*) const;             \
    template void Plan<T>::weight_gradient_by_bands(                                  \
        const Passage<T>&, size_t, const Range&, const T*, T*, T*) const;             \
    template void Plan<T>::input_gradient_by_bands(                                   \
        const Passage<T>&, size_t, const Range&, const ActivationRule*, const T*, T*) \
        const;
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate

// One block's way through a plan: forward, backward, and what batch_norm measures.
#include <algorithm>
#include <cstring>

#include "plan.h"
#include "random.h"

namespace striate {

namespace {

NormShape norm_shape(const Step& s, const Block& block) {
    return {s.in.C, s.in.H * s.in.W, block.real, s.epsilon};
}

// Streams below are drawn from in Python: initial weights, the order of an epoch.
constexpr uint64_t kDropoutStreams = uint64_t(1) << 62;

}  // namespace

template <class T>
void Plan<T>::load(const Source<T>& source, const Block& block, Arena<T>& arena) const {
    T* x = arena.values.get() + offset_[0];
    const Shape& in = steps_[0].in;
    if (source.pixels) {
        const uint8_t* images[kLanes];
        const int64_t size = source.shape.height * source.shape.width * source.shape.C;
        for (int l = 0; l < kLanes; ++l)
            images[l] = source.pixels + block.row[l < block.real ? l : 0] * size;
        kernels_.gather_pixels(source.shape, images, source.table, source.fill, x);
        return;
    }
    for (int l = 0; l < kLanes; ++l) {
        const T* image = source.values + block.row[l < block.real ? l : 0] * in.count();
        for (int64_t i = 0; i < in.H * in.W; ++i)
            for (int64_t c = 0; c < in.C; ++c)
                x[(c * in.H * in.W + i) * kLanes + l] = image[i * in.C + c];
    }
}

// y = x with a share `rate` of the values zero and the others scaled up, by image and
// position alone: the same mask going back as going forth, on any thread.
template <class T>
void Plan<T>::drop(const Step& step, size_t index, const Block& block,
                   const DropoutKey& key, const T* x, T* y) const {
    const double rate = step.value;
    const uint64_t limit = uint64_t(rate * 4294967296.0);
    const T scale = T(rate < 1.0 ? 1.0 / (1.0 - rate) : 0.0);
    const int64_t count = step.in.count();
    for (int l = 0; l < kLanes; ++l) {
        const uint64_t image = uint64_t(block.row[l < block.real ? l : 0]);
        const uint64_t stream = kDropoutStreams | key.epoch << 16 | uint64_t(index);
        RandomWords random{};
        for (int64_t i = 0; i < count; ++i) {
            if (i % 4 == 0)
                random = random_words(key.seed, stream, image << 26 | i / 4);
            const bool keep = random.word[i % 4] >= limit;
            y[i * kLanes + l] = keep ? x[i * kLanes + l] * scale : T(0);
        }
    }
}

template <class T>
bool Plan<T>::forward(const T* weights, const Block& block, const DropoutKey& key,
                      const BatchStatistics<T>* batch, size_t begin, size_t end,
                      Arena<T>& arena, const std::function<bool(size_t)>& after) const {
    for (size_t i = begin; i < end; ++i) {
        const Step& s = steps_[i];
        const T* x = output(s.source, arena);
        T* y = output(int64_t(i), arena);
        const T* w = s.weight >= 0 ? weights + s.weight : nullptr;
        const T* bias = s.bias >= 0 ? weights + s.bias : nullptr;
        switch (s.kind) {
            case Kind::pad:
                std::fill(y, y + s.out.count() * kLanes, T(s.value));
                for (int64_t c = 0; c < s.in.C; ++c)
                    for (int64_t h = 0; h < s.in.H; ++h)
                        std::memcpy(
                            y + ((c * s.out.H + h + s.top) * s.out.W + s.left) * kLanes,
                            x + (c * s.in.H + h) * s.in.W * kLanes,
                            size_t(s.in.W * kLanes) * sizeof(T));
                break;
            case Kind::conv:
                kernels_.conv_forward(conv_shape(s), x, w, bias, y);
                break;
            case Kind::max_pool:
                kernels_.max_pool_forward(
                    pool_shape(s), x, y,
                    arena.winners ? arena.winners.get() + winner_offset_[i] : nullptr);
                break;
            case Kind::average_pool:
                kernels_.average_pool_forward(pool_shape(s), x, y);
                break;
            case Kind::dense:
                kernels_.dense_forward(s.in.count(), s.out.C, x, w, bias, y);
                break;
            case Kind::batch_norm: {
                const T* mean = batch ? (*batch)[i].mean.data() : weights + s.running;
                const T* variance = batch ? (*batch)[i].variance.data() : mean + s.in.C;
                kernels_.norm_forward(norm_shape(s, block), x, mean, variance, w, bias,
                                      y);
                break;
            }
            case Kind::add:
                kernels_.add(s.in.count(), x, output(s.other, arena), y);
                break;
            case Kind::activation:
                kernels_.activation_forward(s.rule, s.in.count(), x, y);
                break;
            case Kind::dropout:
                if (key.active) {
                    drop(s, i, block, key, x, y);
                } else {
                    std::memcpy(y, x, size_t(s.in.count() * kLanes) * sizeof(T));
                }
                break;
            case Kind::flatten:
                break;  // C,H,W in memory is the flat order already
        }
        if (!after(i)) return false;
    }
    return true;
}

template <class T>
T* Plan<T>::seed(size_t step, Arena<T>& arena) const {
    arena.arrived.assign(steps_.size() + 1, false);
    arena.arrived[step + 1] = true;
    return gradient(int64_t(step), arena);
}

// Puts or adds what a reader found to the gradient of the step it reads.
template <class T>
void Plan<T>::deliver(const T* dx, int step, Arena<T>& arena) const {
    const int64_t count = (step < 0 ? steps_[0].in : steps_[size_t(step)].out).count();
    T* sum = gradient(step, arena);
    if (arena.arrived[size_t(step + 1)]) {
        kernels_.add(count, sum, dx, sum);
    } else if (sum != dx) {
        std::memcpy(sum, dx, size_t(count * kLanes) * sizeof(T));
    }
    arena.arrived[size_t(step + 1)] = true;
}

template <class T>
bool Plan<T>::backward(const T* weights, const Block& block, const DropoutKey& key,
                       const BatchStatistics<T>* batch, size_t begin, size_t end,
                       int deepest, Arena<T>& arena, const GradientSink<T>& sink,
                       const std::function<bool()>& go_on) const {
    for (size_t i = end; i-- > begin;) {
        if (!arena.arrived[i + 1]) continue;
        const Step& s = steps_[i];
        const bool deeper = s.source >= deepest;
        const T* x = output(s.source, arena);
        const T* w = s.weight >= 0 ? weights + s.weight : nullptr;
        T* dy = gradient(int64_t(i), arena);
        T* dx = dy;
        if (!s.passes_on()) {
            // What has come from another reader stays, and is added to afterwards.
            const bool first = !arena.arrived[size_t(s.source + 1)];
            const size_t spare = gradient_buffer_[i + 1] == 0 ? 1 : 0;
            dx = first ? gradient(s.source, arena)
                       : arena.gradients.get() + gradient_offset_[spare];
        }
        switch (s.kind) {
            case Kind::pad:
                if (!deeper) break;
                for (int64_t c = 0; c < s.in.C; ++c)
                    for (int64_t h = 0; h < s.in.H; ++h)
                        std::memcpy(
                            dx + (c * s.in.H + h) * s.in.W * kLanes,
                            dy +
                                ((c * s.out.H + h + s.top) * s.out.W + s.left) * kLanes,
                            size_t(s.in.W * kLanes) * sizeof(T));
                break;
            case Kind::conv:
                if (sink.conv) {
                    T* dw = sink.conv + conv_offset_[i];
                    T* db = s.bias >= 0 ? dw + s.weights() : nullptr;
                    kernels_.conv_weight_gradient(conv_shape(s), x, dy, dw, db);
                }
                if (deeper) kernels_.conv_input_gradient(conv_shape(s), w, dy, dx);
                break;
            case Kind::max_pool:
                if (deeper)
                    kernels_.max_pool_backward(
                        pool_shape(s), arena.winners.get() + winner_offset_[i], dy, dx);
                break;
            case Kind::average_pool:
                if (deeper) kernels_.average_pool_backward(pool_shape(s), dy, dx);
                break;
            case Kind::dense:
                if (!sink.dense_inputs.empty()) {
                    const int64_t x_stride = (s.in.count() + 15) / 16 * 16;
                    const int64_t dy_stride = (s.out.C + 15) / 16 * 16;
                    kernels_.lanes_to_rows(s.in.count(), x, sink.dense_inputs[i],
                                           x_stride);
                    kernels_.lanes_to_rows(s.out.C, dy, sink.dense_gradients[i],
                                           dy_stride);
                }
                if (deeper)
                    kernels_.dense_input_gradient(s.in.count(), s.out.C, w, dy, dx);
                break;
            case Kind::batch_norm: {
                const BatchMoments<T>* m = batch ? &(*batch)[i] : nullptr;
                const T* mean = m ? m->mean.data() : weights + s.running;
                const T* variance = m ? m->variance.data() : mean + s.in.C;
                kernels_.norm_input_gradient(norm_shape(s, block), x, mean, variance, w,
                                             m ? m->mean_dw.data() : nullptr,
                                             m ? m->mean_db.data() : nullptr, dy);
                break;
            }
            case Kind::activation:
                kernels_.activation_backward(s.rule, s.in.count(),
                                             output(int64_t(i), arena), dy);
                break;
            case Kind::dropout:
                if (key.active) drop(s, i, block, key, dy, dy);
                break;
            case Kind::add:
            case Kind::flatten:
                break;
        }
        if (deeper) deliver(dx, s.source, arena);
        if (s.kind == Kind::add && s.other >= deepest) deliver(dy, s.other, arena);
        if (!go_on()) return false;
    }
    return true;
}

template <class T>
void Plan<T>::measure(size_t step, const Block& block, Arena<T>& arena, double* mean,
                      double* deviation) const {
    const Step& s = steps_[step];
    kernels_.norm_moments(norm_shape(s, block), output(s.source, arena), mean,
                          deviation);
}

template <class T>
void Plan<T>::measure_gradient(size_t step, const T* weights, const Block& block,
                               const BatchStatistics<T>* batch, Arena<T>& arena,
                               double* dw, double* db) const {
    const Step& s = steps_[step];
    const T* mean = batch ? (*batch)[step].mean.data() : weights + s.running;
    const T* variance = batch ? (*batch)[step].variance.data() : mean + s.in.C;
    kernels_.norm_weight_gradient(norm_shape(s, block), output(s.source, arena), mean,
                                  variance, gradient(int64_t(step), arena), dw, db);
}

#define STRIATE_INSTANTIATE(T)                                                        \
    template void Plan<T>::load(const Source<T>&, const Block&, Arena<T>&) const;     \
    template bool Plan<T>::forward(                                                   \
        const T*, const Block&, const DropoutKey&, const BatchStatistics<T>*, size_t, \
        size_t, Arena<T>&, const std::function<bool(size_t)>&) const;                 \
    template T* Plan<T>::seed(size_t, Arena<T>&) const;                               \
    template bool Plan<T>::backward(const T*, const Block&, const DropoutKey&,        \
                                    const BatchStatistics<T>*, size_t, size_t, int,   \
                                    Arena<T>&, const GradientSink<T>&,                \
                                    const std::function<bool()>&) const;              \
    template void Plan<T>::measure(size_t, const Block&, Arena<T>&, double*, double*) \
        const;                                                                        \
    template void Plan<T>::measure_gradient(size_t, const T*, const Block&,           \
                                            const BatchStatistics<T>*, Arena<T>&,     \
                                            double*, double*) const;
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate

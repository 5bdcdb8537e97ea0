// A block's way through the chains of a program: forward, backward, and what batch_norm
// measures, each for a range of channels.
#include <algorithm>
#include <cstring>

#include "blocks.h"
#include "plan.h"
#include "random.h"

namespace striate {

namespace {

// A range of a convolution's output channels as a convolution of its own: with groups,
// of the input channels that belong to them as well.
ConvShape conv_shape(const Step& s, const Range& range) {
    ConvShape part = s.conv();
    part.O = range.size(s.out.C);
    if (s.groups > 1) {
        part.C = range.size(s.in.C);
        part.groups = range.size(s.groups);
    }
    return part;
}
// The same of one that goes by minimal filtering, which knows no groups.
WinogradShape winograd_shape(const Step& s, const Range& range) {
    WinogradShape part = s.filtering.shape;
    part.conv.O = range.size(s.out.C);
    return part;
}
int64_t first_weight(const Step& s, const Range& range) {
    return range.begin(s.out.C) * (s.weights() / s.out.C);
}

PoolShape pool_shape(const Step& s, const Range& range) {
    PoolShape part = s.pool();
    part.C = range.size(s.in.C);
    return part;
}

NormShape norm_shape(const Step& s, const Range& range, const Block& block) {
    return {range.size(s.in.C), s.in.H * s.in.W, block.real, s.epsilon};
}

int64_t size(const Shape& shape, const Range& range) {
    return range.size(shape.C) * shape.H * shape.W;
}

// The first channel of a range of what has this shape and lies there in the arena.
template <class T>
T* channels(int64_t offset, const Shape& shape, const Range& range,
            const Passage<T>& passage) {
    const int64_t first = range.begin(shape.C) * shape.H * shape.W;
    return passage.arena.values.get() + (offset + first) * passage.kernels.lanes;
}

// Copies planes into the middle of larger ones, whose rim is filled.
template <class T>
void pad(const Step& s, int64_t planes, int lanes, const T* x, T* y) {
    const int64_t row = s.in.W * lanes, wide = s.out.W * lanes;
    const int64_t left = s.left * lanes, above = s.top * wide;
    const int64_t below = (s.out.H - s.top - s.in.H) * wide;
    const T value = T(s.value);
    for (int64_t c = 0; c < planes; ++c) {
        y = std::fill_n(y, above, value);
        for (int64_t h = 0; h < s.in.H; ++h, x += row) {
            y = std::fill_n(y, left, value);
            y = std::copy_n(x, row, y);
            y = std::fill_n(y, wide - left - row, value);
        }
        y = std::fill_n(y, below, value);
    }
}

// Back, and through the rectifier before, if any, whose output is in y.
template <class T>
void crop(const Kernels<T>& kernels, const Step& s, int64_t planes, const T* dy,
          const ActivationRule* rectifier, const T* y, T* dx) {
    const int64_t row = s.in.W * kernels.lanes, wide = s.out.W * kernels.lanes;
    for (int64_t c = 0; c < planes; ++c)
        for (int64_t h = 0; h < s.in.H; ++h, dx += row) {
            const int64_t at =
                (c * s.out.H + s.top + h) * wide + s.left * kernels.lanes;
            std::copy_n(dy + at, row, dx);
            if (rectifier) kernels.activation_backward(*rectifier, s.in.W, y + at, dx);
        }
}

// Streams below are drawn from in Python: initial weights, the order of an epoch.
constexpr uint64_t kDropoutStreams = uint64_t(1) << 62;

// Mean and variance that batch_norm works with: of the batch, or the running ones.
template <class T>
struct Statistics {
    const T *mean, *variance;
    Statistics(const Passage<T>& passage, const Step& s, size_t step, int64_t channel) {
        const BatchMoments<T>* m = passage.batch ? &(*passage.batch)[step] : nullptr;
        mean = (m ? m->mean.data() : passage.weights + s.running) + channel;
        variance = m ? m->variance.data() + channel : mean + s.in.C;
    }
};

}  // namespace

template <class T>
void Plan<T>::load(const Source<T>& source, const Passage<T>& passage) const {
    T* x = output(-1, passage);
    const int lanes = passage.kernels.lanes;
    const Block& block = passage.block;
    const Shape& in = steps_[0].in;
    if (source.pixels) {
        const uint8_t* images[kMostLanes];
        const int64_t size = source.shape.height * source.shape.width * source.shape.C;
        for (int l = 0; l < lanes; ++l)
            images[l] = source.pixels + block.row[l < block.real ? l : 0] * size;
        passage.kernels.gather_pixels(source.shape, images, source.table, source.fill,
                                      x);
        return;
    }
    for (int l = 0; l < lanes; ++l) {
        const T* image = source.values + block.row[l < block.real ? l : 0] * in.count();
        for (int64_t i = 0; i < in.H * in.W; ++i)
            for (int64_t c = 0; c < in.C; ++c)
                x[(c * in.H * in.W + i) * lanes + l] = image[i * in.C + c];
    }
}

// y = x with a share `rate` of the values zero and the others scaled up, by image and
// position alone: the same mask going back as going forth, on any thread.
template <class T>
void Plan<T>::drop(const Step& step, size_t index, const Passage<T>& passage,
                   const Range& range, const T* x, T* y) const {
    const double rate = step.value;
    const int lanes = passage.kernels.lanes;
    const uint64_t limit = uint64_t(rate * 4294967296.0);
    const T scale = T(rate < 1.0 ? 1.0 / (1.0 - rate) : 0.0);
    const int64_t begin = range.begin(step.in.C) * step.in.H * step.in.W;
    const int64_t count = size(step.in, range);
    const Block& block = passage.block;
    for (int l = 0; l < lanes; ++l) {
        const uint64_t image = uint64_t(block.row[l < block.real ? l : 0]);
        const uint64_t stream = kDropoutStreams | passage.key.epoch << 16 | index;
        RandomWords random{};
        for (int64_t i = 0; i < count; ++i) {
            const int64_t at = begin + i;
            if (i == 0 || at % 4 == 0)
                random = random_words(passage.key.seed, stream, image << 26 | at / 4);
            const bool keep = random.word[at % 4] >= limit;
            y[i * lanes + l] = keep ? x[i * lanes + l] * scale : T(0);
        }
    }
}

template <class T>
void Plan<T>::carry(const Passage<T>& passage, const Chain& chain, int64_t part,
                    int64_t parts, const OtherAction& other) const {
    const Range range{chain.channels * part / parts,
                      chain.channels * (part + 1) / parts, chain.channels};
    for (size_t i = chain.first; i < chain.last; ++i) {
        const Action& action = passage.program.actions[i];
        switch (action.act) {
            case Act::forward:
                forward(passage, action.step, range);
                break;
            case Act::weights:
                weight_gradient(passage, action.step, range);
                break;
            case Act::input:
                input_gradient(passage, action, range);
                break;
            default:
                other(action, range);
        }
    }
}

template <class T>
void Plan<T>::forward(const Passage<T>& passage, size_t step,
                      const Range& range) const {
    const Step& s = steps_[step];
    const Kernels<T>& kernels = passage.kernels;
    const int lanes = kernels.lanes;
    const std::vector<int64_t>& places = passage.program.values;
    const T* x = s.by_channel()
                     ? channels(places[size_t(s.source + 1)], s.in, range, passage)
                     : output(s.source, passage);
    T* y = channels(places[step + 1], s.out, range, passage);
    const T* w = s.weight >= 0 ? passage.weights + s.weight : nullptr;
    const int64_t channel = range.begin(s.out.C);
    const T* bias = s.bias >= 0 ? passage.weights + s.bias + channel : nullptr;
    if (passage.program.folded[step]) {
        w = passage.folded + fold_offset_[step];
        bias = w + s.weights() + channel;
    }
    const size_t joined = passage.program.rectified[step];
    const ActivationRule* rectifier = joined ? &steps_[joined].rule : nullptr;
    switch (s.kind) {
        case Kind::pad:
            pad(s, range.size(s.in.C), lanes, x, y);
            break;
        case Kind::conv: {
            const T* kernel = w + first_weight(s, range);
            if (passage.program.pooled[step]) {
                forward_by_bands(passage, step, range, x, kernel, bias, rectifier);
            } else if (passage.sink.lone) {
                kernels.lone_forward(conv_shape(s, range), x, kernel, bias, y,
                                     passage.scratch);
                if (rectifier)
                    kernels.activation_forward(*rectifier, size(s.out, range), y, y);
            } else if (s.filtering.forward) {
                kernels.winograd_forward(winograd_shape(s, range), x, kernel, bias, y,
                                         passage.scratch);
            } else {
                kernels.conv_forward(conv_shape(s, range), x, kernel, bias, rectifier,
                                     y);
            }
            break;
        }
        case Kind::max_pool: {
            int32_t* winners = passage.arena.winners.get();
            if (winners)
                winners += (winner_offset_[step] + channel * s.out.H * s.out.W) * lanes;
            kernels.max_pool_forward(pool_shape(s, range), x, y, winners);
            break;
        }
        case Kind::average_pool:
            kernels.average_pool_forward(pool_shape(s, range), x, y);
            break;
        case Kind::dense:
            kernels.dense_forward(s.in.count(), range.size(s.out.C), x,
                                  w + first_weight(s, range), bias, rectifier, y);
            break;
        case Kind::batch_norm: {
            const Statistics<T> of(passage, s, step, channel);
            kernels.norm_forward(norm_shape(s, range, passage.block), x, of.mean,
                                 of.variance, w + channel, bias, rectifier, y);
            break;
        }
        case Kind::add: {
            const int64_t other = places[size_t(s.other + 1)];
            kernels.add(size(s.in, range), x, channels(other, s.in, range, passage),
                        rectifier, y);
            break;
        }
        case Kind::activation:
            kernels.activation_forward(s.rule, size(s.in, range), x, y);
            break;
        case Kind::dropout:
            if (passage.key.active) {
                drop(s, step, passage, range, x, y);
            } else if (x != y) {
                std::copy_n(x, size(s.in, range) * lanes, y);
            }
            break;
        case Kind::flatten:
            break;  // C,H,W in memory is the flat order already
    }
}

template <class T>
void Plan<T>::weight_gradient(const Passage<T>& passage, size_t step,
                              const Range& range) const {
    const Step& s = steps_[step];
    const Kernels<T>& kernels = passage.kernels;
    const int lanes = kernels.lanes;
    const T* dy = channels(passage.program.gradients[step + 1], s.out, range, passage);
    if (s.kind == Kind::conv) {
        const int64_t source = passage.program.values[size_t(s.source + 1)];
        const T* x = s.by_channel() ? channels(source, s.in, range, passage)
                                    : output(s.source, passage);
        T* own = passage.sink.conv + conv_offset_[step];
        T* dw = own + first_weight(s, range);
        T* db = s.bias >= 0 ? own + s.weights() + range.begin(s.out.C) : nullptr;
        if (passage.program.pooled[step]) {
            weight_gradient_by_bands(passage, step, range, x, dw, db);
        } else if (passage.sink.lone) {
            kernels.lone_weight_gradient(conv_shape(s, range), x, dy, dw, db,
                                         passage.scratch);
        } else if (s.filtering.weight_gradient) {
            kernels.winograd_weight_gradient(winograd_shape(s, range), x, dy, dw, db,
                                             passage.scratch);
        } else {
            kernels.conv_weight_gradient(conv_shape(s, range), x, dy, dw, db);
        }
        return;
    }
    // Of a dense layer's inputs, the same share as of its outputs.
    const int64_t D = s.in.count(), O = s.out.C, o = range.begin(O);
    const int64_t begin = D * range.first / range.of, end = D * range.last / range.of;
    kernels.lanes_to_rows(end - begin, output(s.source, passage) + begin * lanes,
                          passage.sink.dense_inputs[step] + begin, padded(D));
    kernels.lanes_to_rows(range.size(O), dy, passage.sink.dense_gradients[step] + o,
                          padded(O));
}

template <class T>
void Plan<T>::input_gradient(const Passage<T>& passage, const Action& action,
                             const Range& range) const {
    const size_t step = action.step;
    const Step& s = steps_[step];
    const Kernels<T>& kernels = passage.kernels;
    const int lanes = kernels.lanes;
    const Program& program = passage.program;
    const T* w = s.weight >= 0 ? passage.weights + s.weight : nullptr;
    T* dy = s.by_channel()
                ? channels(program.gradients[step + 1], s.out, range, passage)
                : gradient(int64_t(step), passage);
    T* dx = channels(program.found[step], s.in, range, passage);
    const int64_t channel = range.begin(s.in.C);
    // The rectifier before this step, if its gradient is found here as well, and where
    // its output is.
    const size_t beyond = program.beyond[step];
    const ActivationRule* rectifier = beyond ? &steps_[beyond].rule : nullptr;
    const T* given =
        beyond ? channels(program.values[beyond + 1], s.in, range, passage) : nullptr;
    const T* own = channels(program.values[step + 1], s.out, range, passage);
    switch (s.kind) {
        case Kind::pad:
            crop(kernels, s, range.size(s.in.C), dy, rectifier, own, dx);
            break;
        case Kind::conv: {
            // With groups, a range of channels is a convolution of its own.
            const bool apart = s.by_channel();
            const ConvShape part = apart ? conv_shape(s, range) : s.conv();
            const T* kernel = apart ? w + first_weight(s, range) : w;
            const int64_t first = apart ? 0 : channel;
            const int64_t last = first + range.size(s.in.C);
            if (program.pooled[step]) {
                input_gradient_by_bands(passage, step, range, rectifier, given, dx);
            } else if (passage.sink.lone) {
                kernels.lone_input_gradient(part, first, last, kernel, dy, dx,
                                            passage.scratch);
                if (rectifier)
                    kernels.activation_backward(*rectifier, size(s.in, range), given,
                                                dx);
            } else if (s.filtering.input_gradient) {
                kernels.winograd_input_gradient(s.filtering.shape, first, last, kernel,
                                                dy, dx, passage.scratch);
            } else {
                kernels.conv_input_gradient(part, first, last, kernel, dy, rectifier,
                                            given, dx);
            }
            break;
        }
        case Kind::max_pool:
            kernels.max_pool_backward(
                pool_shape(s, range),
                passage.arena.winners.get() +
                    (winner_offset_[step] + channel * s.out.H * s.out.W) * lanes,
                rectifier, own, dy, dx);
            break;
        case Kind::average_pool:
            kernels.average_pool_backward(pool_shape(s, range), dy, dx);
            break;
        case Kind::dense: {
            const int64_t first = channel * s.in.H * s.in.W;
            kernels.dense_input_gradient(s.in.count(), s.out.C, first,
                                         first + size(s.in, range), w, dy, dx);
            break;
        }
        case Kind::batch_norm: {
            const Statistics<T> of(passage, s, step, channel);
            const BatchMoments<T>* m =
                passage.batch ? &(*passage.batch)[step] : nullptr;
            const T* x =
                channels(program.values[size_t(s.source + 1)], s.in, range, passage);
            kernels.norm_input_gradient(norm_shape(s, range, passage.block), x, of.mean,
                                        of.variance, w + channel,
                                        m ? m->mean_dw.data() + channel : nullptr,
                                        m ? m->mean_db.data() + channel : nullptr, dy);
            break;
        }
        case Kind::activation: {
            if (program.passed[step]) break;
            const GradientRule rule =
                s.rectifies() ? program.rule : GradientRule::gradient;
            if (rule != GradientRule::deconvolution)
                kernels.activation_backward(s.rule, size(s.in, range), own, dy);
            // Where the gradient's sign counts, it is rectified as inputs are.
            if (rule != GradientRule::gradient)
                kernels.activation_forward(s.rule, size(s.in, range), dy, dy);
            break;
        }
        case Kind::dropout:
            if (passage.key.active) drop(s, step, passage, range, dy, dy);
            break;
        case Kind::add:
        case Kind::flatten:
            break;
    }
    deliver(passage, dx, action.source, s.source, range);
    deliver(passage, dx, action.other, s.other, range);
}

// Puts or adds what was found to the gradient of the step it belongs to.
template <class T>
void Plan<T>::deliver(const Passage<T>& passage, const T* dx, Delivery how, int step,
                      const Range& range) const {
    if (how == Delivery::none) return;
    const Shape& shape = step < 0 ? steps_[0].in : steps_[size_t(step)].out;
    const int64_t count = size(shape, range);
    T* sum =
        channels(passage.program.gradients[size_t(step + 1)], shape, range, passage);
    if (how == Delivery::add) {
        passage.kernels.add(count, sum, dx, nullptr, sum);
    } else if (sum != dx) {
        std::copy_n(dx, count * passage.kernels.lanes, sum);
    }
}

template <class T>
void Plan<T>::measure(const Passage<T>& passage, size_t step, const Range& range,
                      double* mean, double* deviation) const {
    const Step& s = steps_[step];
    const int64_t channel = range.begin(s.in.C);
    const int64_t source = passage.program.values[size_t(s.source + 1)];
    passage.kernels.norm_moments(norm_shape(s, range, passage.block),
                                 channels(source, s.in, range, passage), mean + channel,
                                 deviation + channel);
}

template <class T>
void Plan<T>::measure_gradient(const Passage<T>& passage, size_t step,
                               const Range& range, double* dw, double* db) const {
    const Step& s = steps_[step];
    const int64_t channel = range.begin(s.in.C);
    const Program& program = passage.program;
    const Statistics<T> of(passage, s, step, channel);
    passage.kernels.norm_weight_gradient(
        norm_shape(s, range, passage.block),
        channels(program.values[size_t(s.source + 1)], s.in, range, passage), of.mean,
        of.variance, channels(program.gradients[step + 1], s.out, range, passage),
        dw + channel, db + channel);
}

#define STRIATE_INSTANTIATE(T)                                                       \
    template void Plan<T>::load(const Source<T>&, const Passage<T>&) const;          \
    template void Plan<T>::carry(const Passage<T>&, const Chain&, int64_t, int64_t,  \
                                 const OtherAction&) const;                          \
    template void Plan<T>::measure(const Passage<T>&, size_t, const Range&, double*, \
                                   double*) const;                                   \
    template void Plan<T>::measure_gradient(const Passage<T>&, size_t, const Range&, \
                                            double*, double*) const;
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate

#include "plan.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "random.h"

namespace striate {

namespace {

ConvShape conv_shape(const Step& s) {
    return {s.in.C,        s.in.H,        s.in.W,      s.out.C,     s.out.H,
            s.out.W,       s.kernel[0],   s.kernel[1], s.stride[0], s.stride[1],
            s.dilation[0], s.dilation[1], s.groups};
}

PoolShape pool_shape(const Step& s) {
    return {s.in.C,      s.in.H,      s.in.W,      s.out.H,    s.out.W,
            s.kernel[0], s.kernel[1], s.stride[0], s.stride[1]};
}

NormShape norm_shape(const Step& s, const Block& block) {
    return {s.in.C, s.in.H * s.in.W, block.real, s.epsilon};
}

int64_t weights_of(const Step& s) {
    if (s.kind == Kind::batch_norm) return s.in.C;
    if (s.kind == Kind::conv)
        return s.out.C * (s.in.C / s.groups) * s.kernel[0] * s.kernel[1];
    return s.kind == Kind::dense ? s.in.count() * s.out.C : 0;
}

// Streams below are drawn from in Python: initial weights, the order of an epoch.
constexpr uint64_t kDropoutStreams = uint64_t(1) << 62;

// Whether the gradient of a step's input takes the place of that of its output.
bool passes_on(Kind kind) {
    return kind == Kind::batch_norm || kind == Kind::add || kind == Kind::activation ||
           kind == Kind::dropout || kind == Kind::flatten;
}

}  // namespace

template <class T>
Plan<T>::Plan(std::vector<Step> steps, int64_t weight_count, const Kernels<T>& kernels)
    : steps_(std::move(steps)), weight_count_(weight_count), kernels_(kernels) {
    if (steps_.empty()) throw std::invalid_argument("a plan needs at least one step");
    trainable_count_ = weight_count;
    for (const Step& s : steps_)
        if (s.kind == Kind::batch_norm) trainable_count_ -= 2 * s.in.C;
    std::vector<int> readers(steps_.size() + 1);
    for (size_t i = 0; i < steps_.size(); ++i) {
        const Step& s = steps_[i];
        check(i);
        ++readers[size_t(s.source + 1)];
        if (s.kind == Kind::add) ++readers[size_t(s.other + 1)];
        winner_offset_.push_back(winner_count_);
        if (s.kind == Kind::max_pool) winner_count_ += s.out.count() * kLanes;
        conv_offset_.push_back(conv_count_);
        if (s.kind == Kind::conv)
            conv_count_ += weights_of(s) + (s.bias >= 0 ? s.out.C : 0);
    }
    lay_out_values(readers);
    lay_out_gradients(readers);
}

// An activation or a sum works in place unless what it would overwrite is still wanted:
// the network's input, the output of an activation (its gradient needs it), or what
// another step reads too.
template <class T>
void Plan<T>::lay_out_values(const std::vector<int>& readers) {
    const auto new_buffer = [this](int64_t count) {
        offset_.push_back(value_count_);
        value_count_ += count * kLanes;
        return int(offset_.size()) - 1;
    };
    buffer_.push_back(new_buffer(steps_[0].in.count()));
    std::vector<bool> overwritable = {false};  // by step + 1, as the buffers
    for (const Step& s : steps_) {
        const size_t source = size_t(s.source + 1);
        const bool free = overwritable[source] && readers[source] == 1;
        const bool shares =
            s.kind == Kind::flatten ||
            (free && (s.kind == Kind::activation || s.kind == Kind::add));
        buffer_.push_back(shares ? buffer_[source] : new_buffer(s.out.count()));
        overwritable.push_back(s.kind == Kind::flatten ? free
                                                       : s.kind != Kind::activation);
    }
}

// Along a chain two buffers take turns. What more than one step reads, or one that is
// not the next, has a buffer of its own, where its gradient waits and is added up.
template <class T>
void Plan<T>::lay_out_gradients(const std::vector<int>& readers) {
    int64_t largest = 0, own = 0;
    for (const Step& s : steps_)
        largest = std::max({largest, s.in.count() * kLanes, s.out.count() * kLanes});
    gradient_offset_ = {0, largest};
    gradient_buffer_.assign(steps_.size() + 1, -1);
    gradient_buffer_.back() = 0;
    const auto place = [&](size_t reader, int step) {
        int& buffer = gradient_buffer_[size_t(step + 1)];
        if (buffer >= 0) return;
        const Step& s = steps_[reader];
        const int above = gradient_buffer_[reader + 1];
        if (readers[size_t(step + 1)] == 1 && step + 1 == int(reader)) {
            buffer = passes_on(s.kind) ? above : above == 0;
            return;
        }
        buffer = int(gradient_offset_.size());
        gradient_offset_.push_back(2 * largest + own);
        own += s.in.count() * kLanes;
    };
    for (size_t i = steps_.size(); i-- > 0;) {
        if (gradient_buffer_[i + 1] < 0)
            throw std::invalid_argument("step " + std::to_string(i) +
                                        ": nothing reads the output");
        place(i, steps_[i].source);
        if (steps_[i].kind == Kind::add) place(i, steps_[i].other);
    }
    gradient_count_ = 2 * largest + own;
}

template <class T>
void Plan<T>::check(size_t index) const {
    const Step& s = steps_[index];
    const auto demand = [index](bool holds, const char* what) {
        if (!holds)
            throw std::invalid_argument("step " + std::to_string(index) + ": " + what);
    };
    for (const Shape& shape : {s.in, s.out})
        demand(shape.C > 0 && shape.H > 0 && shape.W > 0, "shapes must be positive");
    const auto output_of = [&](int step) {
        return step < 0 ? steps_[0].in : steps_[size_t(step)].out;
    };
    demand(s.source >= -1 && s.source < int(index), "the source must come before");
    demand(output_of(s.source) == s.in, "input is not the output of its source");
    demand(s.groups > 0, "groups must be positive");
    for (int axis = 0; axis < 2; ++axis) {
        demand(s.kernel[axis] > 0 && s.stride[axis] > 0 && s.dilation[axis] > 0,
               "kernel, stride and dilation must be positive");
        if (s.kind != Kind::conv && s.kind != Kind::max_pool &&
            s.kind != Kind::average_pool)
            continue;
        const int64_t in = axis ? s.in.W : s.in.H, out = axis ? s.out.W : s.out.H;
        demand(
            (out - 1) * s.stride[axis] + (s.kernel[axis] - 1) * s.dilation[axis] < in,
            "the last window leaves the input");
    }
    switch (s.kind) {
        case Kind::conv:
            demand(s.in.C % s.groups == 0 && s.out.C % s.groups == 0,
                   "groups must divide");
            break;
        case Kind::max_pool:
        case Kind::average_pool:
            demand(s.in.C == s.out.C, "pooling keeps channels");
            demand(s.dilation[0] == 1 && s.dilation[1] == 1, "pooling is not dilated");
            break;
        case Kind::dense:
            demand(s.out.H == 1 && s.out.W == 1, "dense output is flat");
            break;
        case Kind::pad:
            demand(s.in.C == s.out.C && s.top >= 0 && s.left >= 0 &&
                       s.top + s.in.H <= s.out.H && s.left + s.in.W <= s.out.W,
                   "the input must lie inside its padding");
            break;
        case Kind::flatten:
            demand(s.out == Shape{s.in.count(), 1, 1}, "flatten keeps the count");
            break;
        case Kind::batch_norm:
            demand(s.bias >= 0 && s.epsilon > 0.0, "needs a bias and an epsilon");
            demand(s.running >= trainable_count_ &&
                       s.running + 2 * s.in.C <= weight_count_,
                   "running statistics must be behind the weights");
            demand(s.in == s.out, "shape must stay");
            break;
        case Kind::add:
            demand(s.other >= -1 && s.other < int(index) && output_of(s.other) == s.in,
                   "both inputs must come before and be of one shape");
            demand(s.in == s.out, "shape must stay");
            break;
        case Kind::activation:
        case Kind::dropout:
            demand(s.in == s.out, "shape must stay");
            break;
    }
    const int64_t weights = weights_of(s);
    demand((weights > 0) == (s.weight >= 0), "weights where none belong, or none");
    if (weights == 0) return;
    demand(s.weight + weights <= trainable_count_, "weights beyond the vector");
    demand(s.bias < 0 ||
               (s.bias == s.weight + weights && s.bias + s.out.C <= trainable_count_),
           "bias must follow the weights");
}

template <class T>
int Plan<T>::step_of(int layer) const {
    for (size_t i = 0; i < steps_.size(); ++i)
        if (steps_[i].layer == layer) return int(i);
    return -1;
}

template <class T>
int Plan<T>::first_weighted() const {
    size_t i = 0;
    while (i < steps_.size() && steps_[i].weight < 0) ++i;
    return int(i);
}

template <class T>
int64_t Plan<T>::arena_bytes(Purpose purpose) const {
    int64_t bytes = value_count_ * int64_t(sizeof(T));
    if (purpose == Purpose::gradient)
        bytes += winner_count_ * 4 + gradient_count_ * int64_t(sizeof(T));
    return bytes;
}

template <class T>
Arena<T> Plan<T>::make_arena(Purpose purpose) const {
    Arena<T> arena;
    arena.values = allocate<T>(value_count_);
    if (purpose == Purpose::gradient) {
        if (winner_count_ > 0) arena.winners = allocate<int32_t>(winner_count_);
        arena.gradients = allocate<T>(gradient_count_);
    }
    return arena;
}

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
        if (!passes_on(s.kind)) {
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
                    T* db = s.bias >= 0 ? dw + weights_of(s) : nullptr;
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

template class Plan<float>;
template class Plan<double>;

}  // namespace striate

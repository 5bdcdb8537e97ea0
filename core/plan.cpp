#include "plan.h"

#include <algorithm>
#include <stdexcept>

namespace striate {

int64_t Step::weights() const {
    if (kind == Kind::batch_norm) return in.C;
    if (kind == Kind::conv) return out.C * (in.C / groups) * kernel[0] * kernel[1];
    return kind == Kind::dense ? in.count() * out.C : 0;
}

bool Step::passes_on() const {
    return kind == Kind::batch_norm || kind == Kind::add || kind == Kind::activation ||
           kind == Kind::dropout || kind == Kind::flatten;
}

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
            conv_count_ += s.weights() + (s.bias >= 0 ? s.out.C : 0);
    }
    single_ = single_layout(steps_);
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
            buffer = s.passes_on() ? above : above == 0;
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
    const int64_t weights = s.weights();
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

template class Plan<float>;
template class Plan<double>;

}  // namespace striate

#include "plan.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "single.h"

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

ConvShape Step::conv() const {
    return {in.C,      in.H,      in.W,      out.C,       out.H,       out.W, kernel[0],
            kernel[1], stride[0], stride[1], dilation[0], dilation[1], groups};
}

PoolShape Step::pool() const {
    return {in.C, in.H, in.W, out.H, out.W, kernel[0], kernel[1], stride[0], stride[1]};
}

bool Step::by_channel() const {
    return kind == Kind::conv ? groups > 1 : kind != Kind::dense;
}

bool Step::rectifies() const {
    return kind == Kind::activation &&
           (rule.kind == Activation::relu || rule.kind == Activation::leaky_relu);
}

template <class T>
Plan<T>::Plan(std::vector<Step> steps, int64_t weight_count,
              const KernelSet<T>& kernels, Convolutions convolutions)
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
        if (s.kind == Kind::max_pool) winner_count_ += s.out.count();
        conv_offset_.push_back(conv_count_);
        if (s.kind != Kind::conv) continue;
        conv_count_ += s.weights() + (s.bias >= 0 ? s.out.C : 0);
        lone_count_ = std::max(lone_count_, lone_scratch(s.conv()));
    }
    single_ = single_layout(steps_);
    for (size_t i = 0; i + 1 < steps_.size(); ++i)
        if (readers[i + 1] == 0)
            throw std::invalid_argument("step " + std::to_string(i) +
                                        ": nothing reads the output");
    if (convolutions == Convolutions::automatic) choose_filtering();
    // For any program: whichever steps between a convolution and a pool it leaves out.
    for (size_t i = 0; i < steps_.size(); ++i) {
        if (steps_[i].kind != Kind::max_pool) continue;
        int source = steps_[i].source;
        while (source >= 0 && steps_[size_t(source)].by_channel() &&
               steps_[size_t(source)].kind != Kind::conv)
            source = steps_[size_t(source)].source;
        if (source < 0 || steps_[size_t(source)].kind != Kind::conv) continue;
        const int64_t band = band_values(steps_[size_t(source)], steps_[i]);
        scratch_count_ = std::max(scratch_count_, band);
        lone_count_ = std::max(lone_count_, band);
    }
    Purpose purpose{.end = steps_.size(), .wanted = {steps_.size() - 1}, .folds = true};
    prediction_ = make_program(steps_, purpose);
    for (size_t i = 0; i < steps_.size(); ++i) {
        fold_offset_.push_back(fold_count_);
        if (prediction_.folded[i]) fold_count_ += steps_[i].weights() + steps_[i].out.C;
    }
    purpose = {.end = steps_.size(),
               .wanted = {},
               .backward = true,
               .deepest = first_weighted(),
               .learns = true};
    training_ = make_program(steps_, purpose);
}

template <class T>
void Plan<T>::choose_filtering() {
    for (Step& s : steps_) {
        if (s.kind != Kind::conv || !winograd_fits(s.conv())) continue;
        WinogradShape shape{s.conv(), 0, 0, s.in.H, s.in.W};
        if (s.source >= 0 && steps_[size_t(s.source)].kind == Kind::pad) {
            const Step& pad = steps_[size_t(s.source)];
            shape.top = pad.top;
            shape.left = pad.left;
            shape.rows = pad.in.H;
            shape.columns = pad.in.W;
        }
        s.filtering = winograd_filtering(shape, kernels_.wide.transforms);
        if (s.filtering.any())
            scratch_count_ = std::max(scratch_count_, winograd_scratch(s.conv()));
    }
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
int64_t Plan<T>::arena_bytes(const Program& program, int lanes) const {
    return lanes * (program.arena * int64_t(sizeof(T)) +
                    (program.backward ? winner_count_ * 4 : 0));
}

template <class T>
Arena<T> Plan<T>::make_arena(const Program& program, int lanes) const {
    Arena<T> arena;
    arena.lanes = lanes;
    arena.values = allocate<T>(lanes * program.arena);
    if (program.backward && winner_count_ > 0)
        arena.winners = allocate<int32_t>(lanes * winner_count_);
    return arena;
}

template <class T>
AlignedArray<T> Plan<T>::fold(const Program& program, const T* weights) const {
    AlignedArray<T> folded = allocate<T>(fold_count_);
    for (size_t i = 0; i < program.folded.size(); ++i) {
        if (!program.folded[i]) continue;
        const Step &conv = steps_[i], &norm = steps_[program.folded[i]];
        const int64_t C = conv.out.C, each = conv.weights() / C;
        const T *mean = weights + norm.running, *variance = mean + C;
        T* w = folded.get() + fold_offset_[i];
        T* bias = w + conv.weights();
        for (int64_t c = 0; c < C; ++c) {
            const double scale = double(weights[norm.weight + c]) /
                                 std::sqrt(double(variance[c]) + norm.epsilon);
            const double own = conv.bias < 0 ? 0.0 : double(weights[conv.bias + c]);
            for (int64_t k = c * each; k < (c + 1) * each; ++k)
                w[k] = T(double(weights[conv.weight + k]) * scale);
            bias[c] =
                T((own - double(mean[c])) * scale + double(weights[norm.bias + c]));
        }
    }
    return folded;
}

template class Plan<float>;
template class Plan<double>;

}  // namespace striate

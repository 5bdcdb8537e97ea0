#include "single.h"

#include <algorithm>
#include <atomic>

#include "threads.h"

namespace striate {

// Weights and sums of two vectors of channels, or lines of four channels of pixels.
int64_t single_scratch(const ConvShape& s) {
    const int64_t taps = s.C / s.groups * s.KH * s.KW;
    return std::max(2 * kMostLanes * (taps + 1 + s.OH * s.OW),
                    4 * (s.H * s.W + kMostLanes) + kMostLanes);
}

int64_t lone_scratch(const ConvShape& s) {
    const auto room = [](int64_t count) { return padded(count + kMostLanes - 1); };
    ConvShape back = s;  // the gradient of the input, as a convolution
    back.C = s.O;
    back.H += (s.KH - 1) * s.dilation_h;
    back.W += (s.KW - 1) * s.dilation_w;
    back.O = s.C;
    back.OH = s.H;
    back.OW = s.W;
    const int64_t input = room(s.C * s.H * s.W), output = room(s.O * s.OH * s.OW);
    const int64_t forward = input + output + single_scratch(s);
    const int64_t backward = room(s.O * back.H * back.W) + input +
                             room(s.C / s.groups * s.O * s.KH * s.KW) +
                             single_scratch(back);
    return std::max({forward, backward, input + s.O * padded(s.OH * s.W)});
}

namespace {
// Multiply-adds of an image: they take 0.08 ms or more, a thread's start 0.03 ms.
constexpr int64_t kWorthAThread = 4'000'000;
}  // namespace

// A step that changes values where they lie does so unless something else reads them
// too. What flatten and dropout put out is what they are given.
SingleLayout single_layout(const std::vector<Step>& steps) {
    SingleLayout layout;
    const auto room = [&layout](int64_t count) {
        const int64_t offset = layout.count;
        layout.count += padded(count + kMostLanes - 1);
        return offset;
    };
    std::vector<int> readers(steps.size() + 1);
    for (const Step& s : steps) {
        ++readers[size_t(s.source + 1)];
        if (s.kind == Kind::add) ++readers[size_t(s.other + 1)];
    }
    layout.offset.push_back(room(steps[0].in.count()));
    std::vector<bool> kept = {false};  // by step + 1: nobody may write over its values
    int64_t scratch = steps.back().out.count() * kMostLanes;  // for softmax
    for (const Step& s : steps) {
        const size_t source = size_t(s.source + 1);
        const bool keep = kept[source] || readers[source] > 1;
        const bool same = s.kind == Kind::flatten || s.kind == Kind::dropout;
        const bool changes = s.kind == Kind::batch_norm || s.kind == Kind::add ||
                             s.kind == Kind::activation;
        const bool shares = same || (changes && !keep);
        layout.offset.push_back(shares ? layout.offset[source] : room(s.out.count()));
        kept.push_back(same && keep);
        layout.products += s.weights() * s.out.H * s.out.W;
        if (s.kind == Kind::conv) scratch = std::max(scratch, single_scratch(s.conv()));
    }
    layout.scratch = room(scratch);
    return layout;
}

namespace {

// x[C][H][W] of one image of the caller's.
template <class T>
void load_image(const Source<T>& source, int64_t image, const Shape& in, T* x) {
    const int64_t plane = in.H * in.W;
    if (!source.pixels) {
        const T* values = source.values + image * in.count();
        for (int64_t c = 0; c < in.C; ++c)
            for (int64_t i = 0; i < plane; ++i) x[c * plane + i] = values[i * in.C + c];
        return;
    }
    const PixelShape& s = source.shape;
    const uint8_t* pixels = source.pixels + image * s.height * s.width * s.C;
    for (int64_t c = 0; c < in.C; ++c) {
        const float* table = source.table + c * 256;
        T* corner = x + c * plane + s.top * in.W + s.left;
        if (s.height < in.H || s.width < in.W)
            std::fill_n(x + c * plane, plane, T(source.fill[c]));
        for (int64_t h = 0; h < s.height; ++h)
            for (int64_t w = 0; w < s.width; ++w)
                corner[h * in.W + w] = T(table[pixels[(h * s.width + w) * s.C + c]]);
    }
}

// Writes x[C][H][W] to out[H][W][C].
template <class T>
void unload_image(const Shape& shape, const T* x, T* out) {
    const int64_t plane = shape.H * shape.W;
    for (int64_t c = 0; c < shape.C; ++c)
        for (int64_t i = 0; i < plane; ++i) out[i * shape.C + c] = x[c * plane + i];
}

// The kernel for blocks, with the image in the first lane.
template <class T>
void softmax(const Kernels<T>& kernels, int64_t classes, T temperature, const T* x,
             T* scratch, T* out) {
    std::fill_n(scratch, classes * kernels.lanes, T(0));
    for (int64_t k = 0; k < classes; ++k)
        scratch[k * kernels.lanes] = x[k] / temperature;
    kernels.softmax(classes, scratch, scratch);
    for (int64_t k = 0; k < classes; ++k) out[k] = scratch[k * kernels.lanes];
}

template <class T>
void pad(const Step& s, const T* x, T* y) {
    std::fill_n(y, s.out.count(), T(s.value));
    for (int64_t c = 0; c < s.in.C; ++c)
        for (int64_t h = 0; h < s.in.H; ++h)
            std::copy_n(x + (c * s.in.H + h) * s.in.W, s.in.W,
                        y + (c * s.out.H + h + s.top) * s.out.W + s.left);
}

// Kernels that go value by value take whole blocks: the room behind a plane as well.
int64_t vectors_of(const Shape& shape) { return padded(shape.count()) / kMostLanes; }

template <class T>
void take_step(const Kernels<T>& kernels, const Step& s, const T* weights, const T* x,
               const T* other, T* y, T* scratch) {
    const T* w = s.weight >= 0 ? weights + s.weight : nullptr;
    const T* bias = s.bias >= 0 ? weights + s.bias : nullptr;
    switch (s.kind) {
        case Kind::pad:
            pad(s, x, y);
            break;
        case Kind::conv:
            kernels.single_conv(s.conv(), x, w, bias, y, scratch);
            break;
        case Kind::max_pool:
            kernels.single_max_pool(s.pool(), x, y);
            break;
        case Kind::average_pool:
            kernels.single_average_pool(s.pool(), x, y);
            break;
        case Kind::dense:
            kernels.single_dense(s.in.count(), s.out.C, x, w, bias, y);
            break;
        case Kind::batch_norm: {
            if (y != x) std::copy_n(x, s.in.count(), y);
            const T* mean = weights + s.running;
            kernels.single_norm({s.in.C, s.in.H * s.in.W, 1, s.epsilon}, mean,
                                mean + s.in.C, w, bias, y);
            break;
        }
        case Kind::add:
            kernels.add(vectors_of(s.in), x, other, nullptr, y);
            break;
        case Kind::activation:
            kernels.activation_forward(s.rule, vectors_of(s.in), x, y);
            break;
        case Kind::dropout:
        case Kind::flatten:
            break;  // the layout lets them put out what they are given
    }
}

// One image's way through the plan; false where it was stopped.
template <class T, class GoOn>
bool take_image(const Plan<T>& plan, const T* weights, const Source<T>& source,
                int64_t image, const std::vector<Wanted<T>>& wanted, size_t end,
                T* arena, const GoOn& go_on) {
    const SingleLayout& layout = plan.single();
    const auto output = [&](int64_t step) {
        return arena + layout.offset[size_t(step + 1)];
    };
    load_image(source, image, plan.steps()[0].in, output(-1));
    for (size_t i = 0; i < end; ++i) {
        const Step& s = plan.steps()[i];
        // The others take hardly longer than asking.
        if (s.weight >= 0 && !go_on()) return false;
        T* y = output(int64_t(i));
        take_step(plan.kernels().wide, s, weights, output(s.source), output(s.other), y,
                  arena + layout.scratch);
        for (const Wanted<T>& one : wanted) {
            if (one.step != i) continue;
            T* out = one.out + image * s.out.count();
            if (one.probabilities) {
                softmax(plan.kernels().wide, s.out.count(), T(one.temperature), y,
                        arena + layout.scratch, out);
            } else {
                unload_image(s.out, y, out);
            }
        }
    }
    return true;
}

}  // namespace

template <class T>
int64_t single_tasks(const Plan<T>& plan, int64_t images) {
    return plan.single().products < kWorthAThread ? 1 : images;
}

template <class T>
bool run_single(const Plan<T>& plan, const T* weights, const Source<T>& source,
                const std::vector<Wanted<T>>& wanted, size_t end, int threads,
                const Interrupted& interrupted) {
    const int64_t tasks = single_tasks(plan, source.count);
    const int team = int(std::clamp<int64_t>(tasks, 1, threads));
    const int64_t size = plan.single().count;  // a multiple of 16: arenas stay aligned
    const AlignedArray<T> arenas = allocate<T>(team * size);
    Watch watch(interrupted);
    std::atomic<int64_t> next{0};
    run_team(team, [&](int thread) {
        const FlushDenormals flush;
        const auto go_on = [&] { return watch.go_on(thread); };
        for (int64_t image; (image = next.fetch_add(1)) < source.count;)
            if (!take_image(plan, weights, source, image, wanted, end,
                            arenas.get() + thread * size, go_on))
                return;
    });
    return !watch.stopped();
}

#define STRIATE_INSTANTIATE(T)                                           \
    template int64_t single_tasks(const Plan<T>&, int64_t);              \
    template bool run_single(const Plan<T>&, const T*, const Source<T>&, \
                             const std::vector<Wanted<T>>&, size_t, int, \
                             const Interrupted&);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate

#include "run.h"

#include <algorithm>
#include <atomic>

#include "single.h"
#include "threads.h"

namespace striate {

namespace {

// Writes the block's values x[C][H][W][L] to images of out[count][H][W][C].
template <class T>
void unload(const Shape& shape, const Block& block, const T* x, T* out) {
    const int64_t pixels = shape.H * shape.W;
    for (int l = 0; l < block.real; ++l) {
        T* image = out + block.row[l] * shape.count();
        for (int64_t i = 0; i < pixels; ++i)
            for (int64_t c = 0; c < shape.C; ++c)
                image[i * shape.C + c] = x[(c * pixels + i) * kLanes + l];
    }
}

// Every block of `images` once, by `visit(block, arena, watch and thread)`.
template <class T, class Visit>
bool for_each_block(const Plan<T>& plan, Purpose purpose, int64_t images, int threads,
                    const Interrupted& interrupted, Visit visit) {
    const int64_t blocks = blocks_of(images);
    const int team = int(std::clamp<int64_t>(blocks, 1, threads));
    std::vector<Arena<T>> arenas;
    for (int t = 0; t < team; ++t) arenas.push_back(plan.make_arena(purpose));
    Watch watch(interrupted);
    std::atomic<int64_t> next{0};
    run_team(team, [&](int thread) {
        const FlushDenormals flush;
        const auto go_on = [&] { return watch.go_on(thread); };
        for (int64_t b; go_on() && (b = next.fetch_add(1)) < blocks;)
            visit(block_at(nullptr, b * kLanes, images), arenas[size_t(thread)], go_on);
    });
    return !watch.stopped();
}

}  // namespace

template <class T>
bool run_forward(const Plan<T>& plan, const T* weights, const Source<T>& source,
                 const std::vector<Wanted<T>>& wanted, int threads,
                 const Interrupted& interrupted) {
    size_t end = 0;
    for (const Wanted<T>& w : wanted) end = std::max(end, w.step + 1);
    if (source.count <= kFewImages)
        return run_single(plan, weights, source, wanted, end, threads, interrupted);
    return for_each_block(
        plan, Purpose::inference, source.count, threads, interrupted,
        [&](const Block& block, Arena<T>& arena, const auto& go_on) {
            plan.load(source, block, arena);
            plan.forward(weights, block, {}, nullptr, 0, end, arena, [&](size_t step) {
                for (const Wanted<T>& w : wanted) {
                    if (w.step != step) continue;
                    const Shape& shape = plan.steps()[step].out;
                    T* values = plan.output(int64_t(step), arena);
                    // The last step's output is read by nobody else.
                    if (w.probabilities) {
                        const T temperature = T(w.temperature);
                        for (int64_t i = 0; i < shape.C * kLanes; ++i)
                            values[i] /= temperature;  // by 1 it keeps their bits
                        plan.kernels().softmax(shape.C, values, values);
                    }
                    unload(shape, block, values, w.out);
                }
                return go_on();
            });
        });
}

template <class T>
bool run_input_gradient(const Plan<T>& plan, const T* weights, const Source<T>& source,
                        const InputGradient<T>& what, int threads,
                        const Interrupted& interrupted) {
    const Shape top = plan.steps()[what.step].out, in = plan.steps()[0].in;
    return for_each_block(
        plan, Purpose::gradient, source.count, threads, interrupted,
        [&](const Block& block, Arena<T>& arena, const auto& go_on) {
            plan.load(source, block, arena);
            const auto after = [&](size_t) { return go_on(); };
            if (!plan.forward(weights, block, {}, nullptr, 0, what.step + 1, arena,
                              after))
                return;
            T* seed = plan.seed(what.step, arena);
            if (what.labels) {
                int32_t labels[kLanes], correct[kLanes];
                alignas(64) T ones[kLanes];
                double loss[kLanes];
                for (int l = 0; l < kLanes; ++l) {
                    labels[l] = l < block.real ? what.labels[block.row[l]] : -1;
                    ones[l] = T(1);
                }
                plan.kernels().softmax_cross_entropy(
                    top.C, plan.output(int64_t(what.step), arena), labels, nullptr,
                    nullptr, ones, what.label_smoothing, seed, loss, correct);
            } else {
                const int64_t pixels = top.H * top.W;
                for (int l = 0; l < kLanes; ++l) {
                    const T* image = what.seeds + block.row[l] * top.count();
                    for (int64_t i = 0; i < pixels; ++i)
                        for (int64_t c = 0; c < top.C; ++c)
                            seed[(c * pixels + i) * kLanes + l] =
                                l < block.real ? image[i * top.C + c] : T(0);
                }
            }
            if (plan.backward(weights, block, {}, nullptr, 0, what.step + 1, -1, arena,
                              {}, go_on))
                unload(in, block, plan.gradient(-1, arena), what.out);
        });
}

template <class T>
int64_t forward_tasks(const Plan<T>& plan, int64_t images) {
    return images <= kFewImages ? single_tasks(plan, images) : blocks_of(images);
}

template <class T>
int64_t inference_bytes(const Plan<T>& plan, int64_t images, int threads) {
    const int64_t arena = images <= kFewImages
                              ? plan.single().count * int64_t(sizeof(T))
                              : plan.arena_bytes(Purpose::inference);
    return std::clamp<int64_t>(forward_tasks(plan, images), 1, threads) * arena;
}

#define STRIATE_INSTANTIATE(T)                                                         \
    template bool run_forward(const Plan<T>&, const T*, const Source<T>&,              \
                              const std::vector<Wanted<T>>&, int, const Interrupted&); \
    template bool run_input_gradient(const Plan<T>&, const T*, const Source<T>&,       \
                                     const InputGradient<T>&, int,                     \
                                     const Interrupted&);                              \
    template int64_t forward_tasks(const Plan<T>&, int64_t);                           \
    template int64_t inference_bytes(const Plan<T>&, int64_t, int);
STRIATE_INSTANTIATE(float)
STRIATE_INSTANTIATE(double)
#undef STRIATE_INSTANTIATE

}  // namespace striate

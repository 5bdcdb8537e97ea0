#include "run.h"

#include <algorithm>
#include <atomic>

#include "single.h"
#include "threads.h"

namespace striate {

namespace {

// The work of a call, in single lanes, that is worth starting a team for: some three
// hundred microseconds.
constexpr int64_t kTeamWork = 16000000;

// Writes the block's values x[C][H][W][L] to images of out[count][H][W][C].
template <class T>
void unload(const Shape& shape, const Block& block, int lanes, const T* x, T* out) {
    const int64_t pixels = shape.H * shape.W;
    for (int l = 0; l < block.real; ++l) {
        T* image = out + block.row[l] * shape.count();
        for (int64_t i = 0; i < pixels; ++i)
            for (int64_t c = 0; c < shape.C; ++c)
                image[i * shape.C + c] = x[(c * pixels + i) * lanes + l];
    }
}

// How many of the blocks all threads share: all where they are few, and otherwise as
// many as fill the time that threads wait for the last whole ones.
int64_t shared_of(int64_t blocks, int64_t work, int threads) {
    if (threads == 1 || blocks * work < kTeamWork) return 0;
    return splits(blocks, threads) ? blocks : std::min<int64_t>(blocks, threads - 1);
}

int64_t work_of(const Program& program, int lanes) {
    int64_t work = 0;
    for (const Chain& chain : program.chains) work += chain.work * lanes;
    return work;
}

// Every block of `images` once through the program; other(action, passage) does what is
// not a step. Threads carry whole blocks as they come, then share the last ones.
template <class T, class Other>
bool carry_all(const Plan<T>& plan, const Program& program, const T* weights,
               int64_t images, int threads, const Interrupted& interrupted,
               const Other& other) {
    const Kernels<T>& kernels = plan.kernels().of(images);
    const int lanes = kernels.lanes;
    const int64_t blocks = blocks_of(images, lanes);
    const int64_t shared = shared_of(blocks, work_of(program, lanes), threads);
    const int64_t whole = blocks - shared;
    const Leg all{0, program.chains.size(), 1};
    const std::vector<Leg> legs = legs_of(program, true, threads, lanes);
    int64_t tasks = whole;
    for (const Leg& leg : legs) tasks = std::max(tasks, whole + shared * leg.parts);
    const int team = int(std::clamp<int64_t>(tasks, 1, threads));
    std::vector<Arena<T>> arenas;  // of each shared block, then of each thread
    for (int64_t i = 0; i < shared + (whole > 0 ? team : 0); ++i)
        arenas.push_back(plan.make_arena(program, lanes));
    std::vector<AlignedArray<T>> scratch;
    for (int i = 0; i < team; ++i) scratch.push_back(allocate<T>(plan.scratch_count()));
    const AlignedArray<T> folded = plan.fold(program, weights);
    Watch watch(interrupted);
    const auto carry = [&](int64_t b, int64_t arena, const Leg& leg, int64_t part,
                           int thread) {
        const Passage<T> passage{program,
                                 kernels,
                                 weights,
                                 folded.get(),
                                 block_at(nullptr, b * lanes, images, lanes),
                                 {},
                                 nullptr,
                                 arenas[size_t(arena)],
                                 scratch[size_t(thread)].get()};
        const auto act = [&](const Action& a, const Range&) { other(a, passage); };
        for (size_t c = leg.first; c < leg.last && watch.go_on(thread); ++c)
            plan.carry(passage, program.chains[c], part, leg.parts, act);
    };
    std::atomic<int64_t> next{0};
    size_t phase = 0;
    Phases phases(shared * legs[0].parts);
    run_team(team, [&](int thread) {
        const FlushDenormals flush;
        for (int64_t b; (b = next.fetch_add(1)) < whole;)
            carry(b, shared + thread, all, 0, thread);
        if (shared == 0) return;
        phases.work(
            [&](int64_t i) {
                const Leg& leg = legs[phase];
                const int64_t b = i / leg.parts;
                carry(whole + b, b, leg, i % leg.parts, thread);
            },
            [&] {
                ++phase;
                return phase < legs.size() ? shared * legs[phase].parts : Phases::kEnd;
            },
            [&] { watch.go_on(thread); });
    });
    return !watch.stopped();
}

}  // namespace

template <class T>
bool run_forward(const Plan<T>& plan, const T* weights, const Source<T>& source,
                 const std::vector<Wanted<T>>& wanted, int threads,
                 const Interrupted& interrupted) {
    Purpose purpose{.end = 0, .wanted = {}};
    for (const Wanted<T>& w : wanted) {
        purpose.wanted.push_back(w.step);
        purpose.end = std::max(purpose.end, w.step + 1);
    }
    if (source.count <= kFewImages)
        return run_single(plan, weights, source, wanted, purpose.end, threads,
                          interrupted);
    const bool last = wanted.size() == 1 && purpose.end == plan.steps().size();
    const Program other = last ? Program{} : make_program(plan.steps(), purpose);
    return carry_all(
        plan, last ? plan.prediction() : other, weights, source.count, threads,
        interrupted, [&](const Action& action, const Passage<T>& passage) {
            if (action.act == Act::load) return plan.load(source, passage);
            const Kernels<T>& kernels = passage.kernels;
            for (const Wanted<T>& w : wanted) {
                const Shape& shape = plan.steps()[w.step].out;
                T* values = plan.output(int64_t(w.step), passage);
                if (w.probabilities) {
                    const T temperature = T(w.temperature);
                    for (int64_t i = 0; i < shape.C * kernels.lanes; ++i)
                        values[i] /= temperature;  // by 1 it keeps their bits
                    kernels.softmax(shape.C, values, values);
                }
                unload(shape, passage.block, kernels.lanes, values, w.out);
            }
        });
}

template <class T>
bool run_input_gradient(const Plan<T>& plan, const T* weights, const Source<T>& source,
                        const InputGradient<T>& what, int threads,
                        const Interrupted& interrupted) {
    const Shape top = plan.steps()[what.step].out;
    const Shape end =
        what.at < 0 ? plan.steps()[0].in : plan.steps()[size_t(what.at)].out;
    const Program program = make_program(plan.steps(), {.end = what.step + 1,
                                                        .wanted = {},
                                                        .backward = true,
                                                        .deepest = what.at,
                                                        .rule = what.rule});
    return carry_all(
        plan, program, weights, source.count, threads, interrupted,
        [&](const Action& action, const Passage<T>& passage) {
            const Block& block = passage.block;
            const int lanes = passage.kernels.lanes;
            if (action.act == Act::load) return plan.load(source, passage);
            if (action.act == Act::unload)
                return unload(end, block, lanes, plan.gradient(what.at, passage),
                              what.out);
            T* seed = plan.gradient(int64_t(what.step), passage);
            if (what.labels) {
                int32_t labels[kMostLanes], correct[kMostLanes];
                alignas(64) T ones[kMostLanes];
                double loss[kMostLanes];
                for (int l = 0; l < lanes; ++l) {
                    labels[l] = l < block.real ? what.labels[block.row[l]] : -1;
                    ones[l] = T(1);
                }
                passage.kernels.softmax_cross_entropy(
                    top.C, plan.output(int64_t(what.step), passage), labels, nullptr,
                    nullptr, ones, what.label_smoothing, seed, loss, correct);
            } else {
                const int64_t pixels = top.H * top.W;
                for (int l = 0; l < lanes; ++l) {
                    const T* image = what.seeds + block.row[l] * top.count();
                    for (int64_t i = 0; i < pixels; ++i)
                        for (int64_t c = 0; c < top.C; ++c)
                            seed[(c * pixels + i) * lanes + l] =
                                l < block.real ? image[i * top.C + c] : T(0);
                }
            }
        });
}

template <class T>
int64_t forward_tasks(const Plan<T>& plan, int64_t images) {
    if (images <= kFewImages) return single_tasks(plan, images);
    const int lanes = plan.kernels().of(images).lanes;
    const int64_t blocks = blocks_of(images, lanes);
    const bool shares = blocks * work_of(plan.prediction(), lanes) >= kTeamWork;
    return shares ? blocks * lanes
                  : blocks;  // blocks too are shared, by their channels
}

// Of the most that may be wanted: all outputs.
template <class T>
int64_t inference_bytes(const Plan<T>& plan, int64_t images, int threads) {
    if (images <= kFewImages)
        return std::clamp<int64_t>(single_tasks(plan, images), 1, threads) *
               plan.single().count * int64_t(sizeof(T));
    const int lanes = plan.kernels().of(images).lanes;
    int64_t numbers = plan.steps()[0].in.count() * lanes;
    for (const Step& s : plan.steps()) numbers += s.out.count() * lanes;
    const int64_t blocks = blocks_of(images, lanes);
    const int64_t shared =
        shared_of(blocks, work_of(plan.prediction(), lanes), threads);
    numbers *= shared + std::min<int64_t>(blocks - shared, threads);
    numbers += threads * plan.scratch_count() + plan.fold_count();
    return numbers * int64_t(sizeof(T));
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

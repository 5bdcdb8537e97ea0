// The core's checks as a program that needs no Python: for sanitizers, and for emulated
// processors. Usage: striate_check kernels|threads [instruction set] [cases]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "check.h"
#include "dispatch.h"
#include "run.h"
#include "threads.h"
#include "train.h"

using namespace striate;

namespace {

int failures = 0;

void report(bool holds, const std::string& what) {
    std::printf("%s %s\n", holds ? "ok    " : "FAILED", what.c_str());
    if (!holds) ++failures;
}

void check_tables(const std::string& only, int cases) {
    for (const std::string& name : available_tables()) {
        if (!only.empty() && name != only) continue;
        const auto problems = check_kernels(kernels_named(name), 1, cases);
        for (const std::string& problem : problems)
            std::printf("  %s\n", problem.c_str());
        report(problems.empty(),
               "kernels " + name + ", " + std::to_string(cases) + " cases");
    }
}

// A small network with every kind of step that takes part in training, wide enough for
// threads to share its blocks; one image has no statistics to normalise by.
std::vector<Step> small_network(int64_t& weights, bool normalized) {
    std::vector<Step> steps;
    Shape at{1, 16, 16};
    const auto add = [&](Kind kind, Shape out) -> Step& {
        Step s;
        s.kind = kind;
        s.layer = int(steps.size());
        s.source = s.layer - 1;
        s.in = at;
        s.out = at = out;
        steps.push_back(s);
        return steps.back();
    };
    const auto weigh = [&](Step& s, int64_t count) {
        s.weight = weights;
        s.bias = weights + count;
        weights += count + s.out.C;
    };
    const auto normalize = [&] {
        if (!normalized) return;
        Step& s = add(Kind::batch_norm, at);
        weigh(s, at.C);
        s.value = 0.1;
        s.epsilon = 1e-5;
    };
    Step& pad = add(Kind::pad, {1, 18, 18});
    pad.top = pad.left = 1;
    Step& conv = add(Kind::conv, {15, 16, 16});
    conv.kernel[0] = conv.kernel[1] = 3;
    weigh(conv, 15 * 9);
    normalize();
    add(Kind::activation, at);
    const int fork = int(steps.size()) - 1;
    weigh(add(Kind::conv, at), 15 * 15);
    normalize();
    add(Kind::add, at).other = fork;
    Step& depthwise = add(Kind::conv, {15, 14, 14});
    depthwise.kernel[0] = depthwise.kernel[1] = 3;
    depthwise.groups = 15;
    weigh(depthwise, 15 * 9);
    Step& pool = add(Kind::max_pool, {15, 7, 7});
    pool.kernel[0] = pool.kernel[1] = pool.stride[0] = pool.stride[1] = 2;
    Step& overlapping = add(Kind::max_pool, {15, 6, 6});
    overlapping.kernel[0] = overlapping.kernel[1] = 2;
    add(Kind::flatten, {540, 1, 1});
    Step& hidden = add(Kind::dense, {30, 1, 1});
    weigh(hidden, 540 * 30);
    normalize();
    add(Kind::dropout, at).value = 0.25;
    Step& dense = add(Kind::dense, {10, 1, 1});
    weigh(dense, 30 * 10);
    for (Step& s : steps) {
        if (s.kind != Kind::batch_norm) continue;
        s.running = weights;
        weights += 2 * s.in.C;
    }
    return steps;
}

// The weights after some steps, and what the network then answers to some images.
std::vector<float> train(int threads, uint64_t seed, int64_t batch) {
    int64_t count = 0;
    auto steps = small_network(count, batch > 1);
    const Plan<float> plan(std::move(steps), count, kernels_named(""));
    std::vector<float> weights(static_cast<size_t>(count)), gradient(weights.size());
    for (size_t i = 0; i < weights.size(); ++i)
        weights[i] = float(i * 7919 % 101) / 500.0f - 0.1f;
    std::fill(weights.begin() + plan.trainable_count(), weights.end(), 1.0f);
    const int64_t images = 333;
    std::vector<uint8_t> pixels(size_t(images * 256));
    std::vector<int32_t> labels(static_cast<size_t>(images));
    std::vector<int64_t> order(static_cast<size_t>(images));
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = uint8_t(i * 31 % 251);
    for (size_t i = 0; i < labels.size(); ++i) {
        labels[i] = int32_t(i % 10);
        order[i] = int64_t(i * 7 % size_t(images));
    }
    std::vector<float> table(256), fill(1, 0.0f), momentum(weights.size());
    for (size_t i = 0; i < 256; ++i) table[i] = float(i) / 255.0f;
    Source<float> source;
    source.count = images;
    source.pixels = pixels.data();
    source.shape = {16, 16, 1, 16, 16, 0, 0};
    source.table = table.data();
    source.fill = fill.data();
    // The last batch of an epoch is smaller.
    const std::vector<double> rates(
        size_t(std::min<int64_t>(5, (images + batch - 1) / batch)), 0.05);
    Training<float> t{};
    t.labels = labels.data();
    t.order = order.data();
    t.images = images;
    t.batch = batch;
    t.steps = int64_t(rates.size());
    t.learning_rates = rates.data();
    t.state0 = momentum.data();
    t.rule.kind = Optimizer::sgd;
    t.rule.momentum = 0.9;
    t.dropout = {true, seed, 0};
    Augmentation augmentation;
    augmentation.shift = augmentation.scale = augmentation.crop = 0.3;
    augmentation.rotation = augmentation.shear = 0.5;
    augmentation.flip_horizontal = augmentation.flip_vertical = true;
    augmentation.elastic = augmentation.elastic_sigma = 0.2;
    augmentation.replicate = seed % 2;
    augmentation.brightness = augmentation.contrast = augmentation.noise = 0.2;
    augmentation.cutout = augmentation.mixup = 0.4;
    t.augmentation = &augmentation;
    Arenas<float> arenas;
    run_training(plan, weights.data(), gradient.data(), source, t, arenas, threads,
                 [] { return false; });
    std::vector<float> results = weights;
    for (const int64_t asked : {int64_t(112), images}) {
        source.count = asked;
        std::vector<float> answers(size_t(asked * 10)), slopes(size_t(asked * 256));
        std::vector<float> inside(size_t(asked * 15 * 256));
        run_forward(plan, weights.data(), source,
                    {{plan.steps().size() - 1, answers.data(), true}}, threads,
                    [] { return false; });
        InputGradient<float> what{.step = plan.steps().size() - 1};
        what.labels = labels.data();
        what.out = slopes.data();
        run_input_gradient(plan, weights.data(), source, what, threads,
                           [] { return false; });
        results.insert(results.end(), answers.begin(), answers.end());
        results.insert(results.end(), slopes.begin(), slopes.end());
        what.at = batch > 1 ? 4 : 3;  // within the block whose branches are added
        what.rule = GradientRule::guided;
        what.out = inside.data();
        run_input_gradient(plan, weights.data(), source, what, threads,
                           [] { return false; });
        results.insert(results.end(), inside.begin(), inside.end());
    }
    return results;
}

// Phases of 0 to 4 tasks for a team of any size: each task is done once, within its
// phase.
void check_phases(int threads) {
    std::vector<int> done(5, 0);  // written by whoever holds a task, or is alone
    int64_t phase = 0;
    bool right = true;
    const auto tasks_of = [](int64_t p) { return p * 7 % 5; };
    Phases phases(tasks_of(++phase));
    run_team(threads, [&](int) {
        phases.work([&](int64_t i) { ++done[size_t(i)]; },
                    [&] {
                        for (int64_t i = 0; i < 5; ++i) {
                            right &= done[size_t(i)] == (i < tasks_of(phase));
                            done[size_t(i)] = 0;
                        }
                        return ++phase < 5000 ? tasks_of(phase) : Phases::kEnd;
                    },
                    [] {});
    });
    report(right && phase == 5000, "phases on " + std::to_string(threads) + " threads");
}

// The first 8 answers of a network large enough for threads to share its images.
std::vector<float> answer(int64_t images, int threads) {
    std::vector<Step> steps(4);
    const Shape shapes[] = {
        {1, 40, 40}, {16, 36, 36}, {16, 32, 32}, {16, 16, 16}, {10, 1, 1}};
    const Kind kinds[] = {Kind::conv, Kind::conv, Kind::max_pool, Kind::dense};
    int64_t count = 0;
    for (size_t i = 0; i < steps.size(); ++i) {
        Step& s = steps[i];
        s.kind = kinds[i];
        s.layer = int(i);
        s.source = s.layer - 1;
        s.in = shapes[i];
        s.out = shapes[i + 1];
        for (int axis = 0; axis < 2; ++axis) {
            if (s.kind == Kind::conv) s.kernel[axis] = 5;
            if (s.kind == Kind::max_pool) s.kernel[axis] = s.stride[axis] = 2;
        }
        if (s.weights() == 0) continue;
        s.weight = count;
        s.bias = count + s.weights();
        count += s.weights() + s.out.C;
    }
    const Plan<float> plan(std::move(steps), count, kernels_named(""));
    std::vector<float> weights(static_cast<size_t>(count));
    for (size_t i = 0; i < weights.size(); ++i)
        weights[i] = float(i * 7919 % 101) / 500.0f - 0.1f;
    std::vector<float> values(size_t(images * 1600)), out(size_t(images * 10));
    for (size_t i = 0; i < values.size(); ++i) values[i] = float(i * 31 % 251) / 251.0f;
    Source<float> source;
    source.count = images;
    source.values = values.data();
    run_forward(plan, weights.data(), source, {{3, out.data()}}, threads,
                [] { return false; });
    out.resize(80);
    return out;
}

void check_few_images() {
    const std::vector<float> one = answer(8, 1), many = answer(9, 1);
    report(answer(8, 3) == one, "8 images one by one, on 1 and 3 threads");
    float largest = 0.0f, off = 0.0f;
    for (size_t i = 0; i < one.size(); ++i) {
        largest = std::max(largest, std::fabs(many[i]));
        off = std::max(off, std::fabs(one[i] - many[i]));
    }
    report(off <= 1e-5f * largest, "8 images one by one and in a block");
}

void check_threads() {
    for (const int threads : {1, 2, 8}) check_phases(threads);
    // Blocks shared by threads, by some of them, and one after the other.
    for (const int64_t batch : {1, 2, 5, 8, 9, 16, 17, 40, 77, 200}) {
        const std::vector<float> one = train(1, 3, batch);
        for (const int threads : {2, 3, 8})
            report(train(threads, 3, batch) == one,
                   "same bits on 1 and " + std::to_string(threads) +
                       " threads, batches of " + std::to_string(batch));
    }
    std::vector<float> first, second;
    {
        std::jthread a([&] { first = train(2, 3, 77); });
        std::jthread b([&] { second = train(3, 4, 77); });
    }
    report(first == train(1, 3, 77) && second == train(1, 4, 77),
           "two networks trained at once");
}

}  // namespace

int main(int count, char** arguments) {
    const std::string what = count > 1 ? arguments[1] : "kernels";
    const std::string table = count > 2 ? arguments[2] : "";
    const int cases = count > 3 ? std::atoi(arguments[3]) : 200;
    if (what == "kernels") {
        check_tables(table == "all" ? "" : table, cases);
    } else if (what == "threads") {
        check_threads();
        check_few_images();
    } else {
        std::fprintf(stderr,
                     "usage: %s kernels|threads [instruction set|all] [cases]\n",
                     arguments[0]);
        return 2;
    }
    return failures ? 1 : 0;
}

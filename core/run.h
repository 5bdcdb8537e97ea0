// Whole sets of images through a plan: prediction and gradients of the input. Each call
// starts its team of threads and hands out blocks as they come.
#pragma once

#include <vector>

#include "blocks.h"
#include "plan.h"

namespace striate {

// One wanted layer: the step whose output it is and where to write it,
// [count][H][W][C] or [count][C].
template <class T>
struct Wanted {
    size_t step;
    T* out;
    bool probabilities = false;  // softmax over C instead of the plain values
    double temperature = 1.0;    // by which softmax divides them first
};

// Returns false where it was interrupted.
template <class T>
bool run_forward(const Plan<T>& plan, const T* weights, const Source<T>& source,
                 const std::vector<Wanted<T>>& wanted, int threads,
                 const Interrupted& interrupted);

// The gradient of the output of the step `at`, or of the input where that is -1,
// [count][H][W][C], of sum(seeds * output of `step`), where seeds is [count][H][W][C];
// or, with labels, of each image's own cross-entropy.
template <class T>
struct InputGradient {
    size_t step;
    int at = -1;
    GradientRule rule = GradientRule::gradient;
    const T* seeds = nullptr;
    const int32_t* labels = nullptr;
    double label_smoothing = 0.0;
    T* out = nullptr;
};
template <class T>
bool run_input_gradient(const Plan<T>& plan, const T* weights, const Source<T>& source,
                        const InputGradient<T>& what, int threads,
                        const Interrupted& interrupted);

// How many threads can share a call.
template <class T>
int64_t forward_tasks(const Plan<T>& plan, int64_t images);

// Bytes that a call takes besides the caller's arrays.
template <class T>
int64_t inference_bytes(const Plan<T>& plan, int64_t images, int threads);

}  // namespace striate

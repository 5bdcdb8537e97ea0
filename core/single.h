// One image alone through a plan, for calls of few images: in blocks of 16 their
// activations would be mostly empty lanes.
#pragma once

#include "blocks.h"
#include "plan.h"
#include "run.h"

namespace striate {

// Up to so many images are taken one by one; a block takes as long as ten of them.
constexpr int64_t kFewImages = 8;

// As run_forward, which calls it for few images. An answer's last bits may differ from
// those it has among many: sums are added in another order.
template <class T>
bool run_single(const Plan<T>& plan, const T* weights, const Source<T>& source,
                const std::vector<Wanted<T>>& wanted, size_t end, int threads,
                const Interrupted& interrupted);

// How many threads can share it: one where an image is done before a second one starts.
template <class T>
int64_t single_tasks(const Plan<T>& plan, int64_t images);

// Values of scratch that Kernels::single_conv takes, and the kernels for a block with
// one image.
int64_t single_scratch(const ConvShape& s);
int64_t lone_scratch(const ConvShape& s);

}  // namespace striate

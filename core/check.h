// Every kernel of an instruction set's tables against its reference twin, over sampled
// shapes: one case serves the values, the adjoint identities and the guard bands around
// the arrays. Part of the product (`striate doctor` runs it) and of the tests, where it
// also runs under sanitizers and emulated processors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels.h"

namespace striate {

// What failed, in words; empty where all is well.
std::vector<std::string> check_kernels(const KernelSet<float>& tables, uint64_t seed,
                                       int cases);

}  // namespace striate

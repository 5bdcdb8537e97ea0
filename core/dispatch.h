// Which tables of kernels to use: the best this processor runs, or one asked for.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace striate {

// The instruction sets this processor can run, fastest first; the last is always
// "reference".
std::vector<std::string> available_tables();

// The tables of that name; the default (STRIATE_ISA, else the fastest) for an empty
// one. Throws std::invalid_argument naming the available ones.
KernelSet<float> kernels_named(const std::string& name);

template <class T>
KernelSet<T> reference_kernels();

}  // namespace striate

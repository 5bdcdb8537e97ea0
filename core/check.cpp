#include "check.h"

#include <cstring>

#include "checker.h"

namespace striate {

Doubles widen(const Floats& values, bool magnitudes) {
    Doubles wide(values.count());
    for (int64_t i = 0; i < values.count(); ++i)
        wide[i] = magnitudes ? std::fabs(double(values[i])) : double(values[i]);
    return wide;
}

void Checker::run(int cases) {
    for (int i = 0; i < cases; ++i) {
        case_ = i;
        Sampler sample(seed_, uint64_t(i));
        convolution(sample);
        winograd(sample);
        pooling(sample);
        dense(sample);
        single_convolution(sample);
        single_dense(sample);
        lone_convolution(sample);
        single_pooling(sample);
        single_normalization(sample);
        normalization(sample);
        activations(sample);
        loss(sample);
        optimizers(sample);
        input(sample);
        augmentation(sample);
    }
}

void Checker::fail(const std::string& what) {
    failures.push_back(std::string(fast_.name) + ", " + std::to_string(lanes_) +
                       " lanes, case " + std::to_string(case_) + ": " + what);
}

void Checker::compare(const std::string& what, const Floats& got, const Doubles& wanted,
                      const std::function<double(int64_t)>& bound) {
    if (!got.intact()) fail(what + " wrote outside of its result");
    for (int64_t i = 0; i < got.count(); ++i) {
        const double error = std::fabs(double(got[i]) - wanted[i]);
        if (error <= bound(i)) continue;
        return fail(what + " [" + std::to_string(i) + "] is " + std::to_string(got[i]) +
                    " but should be " + std::to_string(wanted[i]) + " (off by " +
                    std::to_string(error / bound(i)) + " times the bound)");
    }
}

void Checker::compare_sums(const std::string& what, const Floats& got,
                           const Doubles& wanted, const Doubles& magnitude,
                           int64_t terms) {
    compare(what, got, wanted, [&](int64_t i) {
        return kUnit * std::sqrt(double(terms)) * magnitude[i] + 1e-37;
    });
}

void Checker::compare_bits(const std::string& what, const Floats& parts,
                           const Floats& whole) {
    if (!parts.intact()) fail(what + " wrote outside of its result");
    if (std::memcmp(parts.data(), whole.data(), size_t(whole.count()) * 4) != 0)
        fail(what + " has other bits");
}

void Checker::adjoint(const std::string& what, double one, double other,
                      double magnitude) {
    if (std::fabs(one - other) > 1e-12 * magnitude + 1e-30)
        fail(what + ": <Ax, y> is " + std::to_string(one) + " but <x, A'y> is " +
             std::to_string(other));
}

std::vector<std::string> check_kernels(const KernelSet<float>& tables, uint64_t seed,
                                       int cases) {
    std::vector<std::string> failures;
    for (const Kernels<float>* table : {&tables.wide, &tables.narrow}) {
        Checker checker(*table, seed);
        checker.run(cases);
        failures.insert(failures.end(), checker.failures.begin(),
                        checker.failures.end());
    }
    return failures;
}

}  // namespace striate

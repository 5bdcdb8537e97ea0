#include "dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace striate {

// Each is compiled in namespaces of its own (table.cpp).
#define STRIATE_DECLARE(isa)               \
    namespace isa##_16 {                   \
        extern const Kernels<float> table; \
    }                                      \
    namespace isa##_8 {                    \
        extern const Kernels<float> table; \
    }
#define STRIATE_SET(isa) \
    KernelSet<float> { isa##_16::table, isa##_8::table }
#if defined(STRIATE_HAVE_X86)
STRIATE_DECLARE(avx512)
STRIATE_DECLARE(avx2)
#endif
#if defined(STRIATE_HAVE_NEON)
STRIATE_DECLARE(neon)
#else
STRIATE_DECLARE(baseline)
#endif

namespace {

std::vector<KernelSet<float>> runnable() {
    std::vector<KernelSet<float>> sets;
#if defined(STRIATE_HAVE_X86)
    __builtin_cpu_init();
    const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (fma && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
        sets.push_back(STRIATE_SET(avx512));
    if (fma) sets.push_back(STRIATE_SET(avx2));
#endif
#if defined(STRIATE_HAVE_NEON)
    sets.push_back(STRIATE_SET(neon));
#else
    sets.push_back(STRIATE_SET(baseline));
#endif
    sets.push_back(reference_kernels<float>());
    return sets;
}

}  // namespace

std::vector<std::string> available_tables() {
    std::vector<std::string> names;
    for (const KernelSet<float>& set : runnable()) names.push_back(set.wide.name);
    return names;
}

KernelSet<float> kernels_named(const std::string& name) {
    const char* forced = std::getenv("STRIATE_ISA");
    const bool from_environment = name.empty() && forced && *forced;
    const std::string wanted = from_environment ? forced : name;
    std::string known;
    for (const KernelSet<float>& set : runnable()) {
        const std::string isa = set.wide.name;
        if (wanted.empty() || wanted == isa) return set;
        known += (known.empty() ? "" : ", ") + isa;
    }
    throw std::invalid_argument(
        std::string(from_environment ? "STRIATE_ISA" : "The instruction set") +
        " must be one that this processor runs (" + known + ") but is '" + wanted +
        "'; " +
        (from_environment ? "unset it or name one of these" : "name one of these"));
}

}  // namespace striate

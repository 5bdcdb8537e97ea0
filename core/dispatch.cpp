#include "dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace striate {

#if defined(STRIATE_HAVE_X86)
namespace avx512 {
extern const Kernels<float> table;
}
namespace avx2 {
extern const Kernels<float> table;
}
#endif
#if defined(STRIATE_HAVE_NEON)
namespace neon {
extern const Kernels<float> table;
}
#else
namespace baseline {
extern const Kernels<float> table;
}
#endif

namespace {

std::vector<const Kernels<float>*> runnable() {
    std::vector<const Kernels<float>*> tables;
#if defined(STRIATE_HAVE_X86)
    __builtin_cpu_init();
    const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (fma && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq"))
        tables.push_back(&avx512::table);
    if (fma) tables.push_back(&avx2::table);
#endif
#if defined(STRIATE_HAVE_NEON)
    tables.push_back(&neon::table);
#else
    tables.push_back(&baseline::table);
#endif
    tables.push_back(&reference_kernels<float>());
    return tables;
}

}  // namespace

std::vector<std::string> available_tables() {
    std::vector<std::string> names;
    for (const Kernels<float>* table : runnable()) names.push_back(table->name);
    return names;
}

const Kernels<float>& kernels_named(const std::string& name) {
    const char* forced = std::getenv("STRIATE_ISA");
    const bool from_environment = name.empty() && forced && *forced;
    const std::string wanted = from_environment ? forced : name;
    std::string known;
    for (const Kernels<float>* table : runnable()) {
        if (wanted.empty() || wanted == table->name) return *table;
        known += (known.empty() ? "" : ", ") + std::string(table->name);
    }
    throw std::invalid_argument(
        std::string(from_environment ? "STRIATE_ISA" : "The instruction set") +
        " must be one that this processor runs (" + known + ") but is '" + wanted +
        "'; " +
        (from_environment ? "unset it or name one of these" : "name one of these"));
}

}  // namespace striate

#include "check.h"
namespace striate {
std::vector<std::string> check_kernels(const Kernels<float>&, uint64_t, int) { return {}; }
}

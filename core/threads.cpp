#include "threads.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace striate {

namespace {

// Processors that a cgroup grants, by its quota and period; 0 where it sets no limit.
int quota_processors() {
    double quota = 0.0, period = 0.0;
    std::ifstream v2("/sys/fs/cgroup/cpu.max");
    if (v2 >> quota >> period) {
    } else {
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
        std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
    }
    if (quota <= 0.0 || period <= 0.0) return 0;
    return std::max(1, int(std::ceil(quota / period)));
}

}  // namespace

int usable_processors() {
    int count = int(std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) count = CPU_COUNT(&set);
#endif
    if (const int quota = quota_processors()) count = std::min(count, quota);
    return std::max(count, 1);
}

}  // namespace striate

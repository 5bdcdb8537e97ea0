// Times kernels alone, on one thread, for kernels.py.
//
// kernel_times ISA LANES ROUNDS SECONDS reads a line for each job, a kernel's name and
// the numbers of its shape in the order of kernels.h, and answers with a line: seconds
// a call, the multiply-add peak in operations a second, and the speed of streaming
// within the second-level cache in bytes a second, read and written. The three take
// turns; each is the median of ROUNDS turns of about SECONDS of the thread's own
// processor time, so that other processes on the machine hardly matter.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "dispatch.h"
#include "peak.h"
#include "plan.h"

using namespace striate;

namespace {

double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

// Aligned memory for one job, with numbers that cost no denormals and no overflow.
class Memory {
  public:
    float* floats(int64_t count) {
        arrays_.push_back(allocate<float>(count));
        float* p = arrays_.back().get();
        for (int64_t i = 0; i < count; ++i) {
            state_ = state_ * 1664525u + 1013904223u;
            p[i] = float(state_ >> 8) * 0x1p-23f - 1.0f;
        }
        return p;
    }
    explicit Memory(int lanes_) : lanes(lanes_) {}
    float* block(int64_t values) { return floats(values * lanes); }
    const int lanes;
    std::vector<int32_t> winners;
    std::vector<double> doubles;
    std::vector<uint8_t> pixels;
    std::vector<const uint8_t*> images;
    std::vector<const float*> parts;

  private:
    std::vector<AlignedArray<float>> arrays_;
    uint32_t state_ = 1;
};

// The numbers of a shape are plain integers, one after the other.
template <class S>
S shape(const std::vector<int64_t>& numbers) {
    S s;
    if (numbers.size() * sizeof(int64_t) != sizeof s) throw std::out_of_range("shape");
    std::memcpy(&s, numbers.data(), sizeof s);
    return s;
}

using Call = std::function<void()>;
using Numbers = std::vector<int64_t>;

Call convolution(const Kernels<float>& k, const std::string& name, const Numbers& n,
                 Memory& m) {
    const auto s = shape<ConvShape>(n);
    const int64_t count = s.O * (s.C / s.groups) * s.KH * s.KW;
    float *x = m.block(s.C * s.H * s.W), *y = m.block(s.O * s.OH * s.OW);
    float *w = m.floats(count), *bias = m.floats(s.O);
    if (name == "conv_forward")
        return [=] { k.conv_forward(s, x, w, bias, nullptr, y); };
    if (name == "conv_input_gradient")
        return [=] { k.conv_input_gradient(s, 0, s.C, w, y, nullptr, nullptr, x); };
    return [=] {
        std::fill_n(w, count, 0.0f);
        k.conv_weight_gradient(s, x, y, w, bias);
    };
}

Call pooling(const Kernels<float>& k, const std::string& name, const Numbers& n,
             Memory& m) {
    const auto s = shape<PoolShape>(n);
    const int64_t outputs = s.C * s.OH * s.OW;
    float *x = m.block(s.C * s.H * s.W), *y = m.block(outputs);
    m.winners.resize(size_t(outputs * m.lanes + kMostLanes));
    // Aligned by hand: vectors know no alignment beyond their type's.
    int32_t* winner = m.winners.data();
    while (reinterpret_cast<uintptr_t>(winner) % 64) ++winner;
    k.max_pool_forward(s, x, y, winner);
    if (name == "max_pool_forward") return [=] { k.max_pool_forward(s, x, y, winner); };
    if (name == "max_pool_backward")
        return [=] { k.max_pool_backward(s, winner, nullptr, nullptr, y, x); };
    if (name == "average_pool_forward") return [=] { k.average_pool_forward(s, x, y); };
    return [=] { k.average_pool_backward(s, y, x); };
}

Call dense(const Kernels<float>& k, const std::string& name, const Numbers& n,
           Memory& m) {
    const int64_t N = n.at(0), D = n.at(1), O = n.at(2);
    float *w = m.floats(O * D), *bias = m.floats(O);
    if (name == "dense_weight_gradient") {
        const int64_t xs = (D + 15) / 16 * 16, ys = (O + 15) / 16 * 16;
        float *x = m.floats(N * xs), *dy = m.floats(N * ys);
        return [=] { k.dense_weight_gradient(N, D, 0, O, x, xs, dy, ys, w, bias); };
    }
    float *x = m.block(D), *y = m.block(O);
    if (name == "dense_forward")
        return [=] { k.dense_forward(D, O, x, w, bias, nullptr, y); };
    return [=] { k.dense_input_gradient(D, O, 0, D, w, y, x); };
}

Call normalization(const Kernels<float>& k, const std::string& name, const Numbers& n,
                   Memory& m) {
    const NormShape s{n.at(0), n.at(1), m.lanes, 1e-5};
    float *x = m.block(s.C * s.P), *y = m.block(s.C * s.P);
    float *mean = m.floats(s.C), *variance = m.floats(s.C), *w = m.floats(s.C);
    for (int64_t c = 0; c < s.C; ++c) variance[c] = 1.0f;
    m.doubles.resize(size_t(2 * s.C));
    double *first = m.doubles.data(), *second = first + s.C;
    if (name == "norm_moments") return [=] { k.norm_moments(s, x, first, second); };
    if (name == "norm_forward")
        return [=] { k.norm_forward(s, x, mean, variance, w, w, nullptr, y); };
    if (name == "norm_weight_gradient")
        return [=] { k.norm_weight_gradient(s, x, mean, variance, y, first, second); };
    float* none = m.floats(s.C);  // keeps the gradient from drifting
    std::fill_n(none, s.C, 0.0f);
    std::fill_n(w, s.C, 1.0f);
    return [=] { k.norm_input_gradient(s, x, mean, variance, w, none, none, y); };
}

Call elementwise(const Kernels<float>& k, const std::string& name, const Numbers& n,
                 Memory& m) {
    const int64_t count = n.at(0);
    float *x = m.block(count), *y = m.block(count);
    if (name == "add") return [=] { k.add(count, x, y, nullptr, y); };
    if (name == "lanes_to_rows") {
        const int64_t stride = (count + 15) / 16 * 16;
        float* rows = m.block(stride);
        return [=] { k.lanes_to_rows(count, x, rows, stride); };
    }
    static const std::map<std::string, Activation> kinds = {
        {"relu", Activation::relu},
        {"leaky_relu", Activation::leaky_relu},
        {"tanh", Activation::tanh},
        {"sigmoid", Activation::sigmoid}};
    const ActivationRule rule{kinds.at(name.substr(0, name.rfind('_'))), 0.1, 1.0, 1.0};
    if (name.ends_with("_forward"))
        return [=] { k.activation_forward(rule, count, x, x); };
    return [=] { k.activation_backward(rule, count, x, y); };
}

Call loss(const Kernels<float>& k, const Numbers& n, Memory& m) {
    const int64_t classes = n.at(0);
    float *logits = m.block(classes), *gradient = m.block(classes);
    float* weights = m.block(1);
    m.winners.assign(size_t(2 * m.lanes), 0);
    m.doubles.resize(size_t(m.lanes));
    int32_t *labels = m.winners.data(), *correct = labels + m.lanes;
    double* values = m.doubles.data();
    return [=] {
        k.softmax_cross_entropy(classes, logits, labels, nullptr, nullptr, weights, 0.0,
                                gradient, values, correct);
    };
}

Call gathering(const Kernels<float>& k, const Numbers& n, Memory& m) {
    const auto s = shape<PixelShape>(n);
    const int64_t size = s.height * s.width * s.C;
    m.pixels.resize(size_t(m.lanes * size));
    for (size_t i = 0; i < m.pixels.size(); ++i) m.pixels[i] = uint8_t(i * 7919 >> 5);
    for (int l = 0; l < m.lanes; ++l) m.images.push_back(m.pixels.data() + l * size);
    const uint8_t* const* images = m.images.data();
    float *table = m.floats(s.C * 256), *fill = m.floats(s.C);
    float* x = m.block(s.C * s.H * s.W);
    return [=] { k.gather_pixels(s, images, table, fill, x); };
}

// What is done once a batch, for `count` weights.
Call weights(const Kernels<float>& k, const std::string& name, const Numbers& n,
             Memory& m) {
    const int64_t count = n.at(0);
    float* sum = m.floats(count);
    if (name == "sum_slices") {
        const int64_t slices = n.at(1);
        for (int64_t i = 0; i < slices; ++i) m.parts.push_back(m.floats(count));
        const float* const* parts = m.parts.data();
        return [=] { k.sum_slices(count, slices, parts, sum); };
    }
    UpdateRule rule{};  // SGD; a rate of 0 keeps the numbers from drifting
    rule.momentum = 0.5;
    rule.gradient_scale = 1.0;
    float *w = m.floats(count), *gradient = m.floats(count);
    return [=] { k.update(rule, count, w, gradient, sum, nullptr); };
}

Call call_of(const Kernels<float>& k, const std::string& name, const Numbers& n,
             Memory& m) {
    if (name.starts_with("conv_")) return convolution(k, name, n, m);
    if (name.find("_pool_") != name.npos) return pooling(k, name, n, m);
    if (name.starts_with("dense_")) return dense(k, name, n, m);
    if (name.starts_with("norm_")) return normalization(k, name, n, m);
    if (name == "softmax_cross_entropy") return loss(k, n, m);
    if (name == "gather_pixels") return gathering(k, n, m);
    if (name == "sum_slices" || name == "update") return weights(k, name, n, m);
    return elementwise(k, name, n, m);
}

// Reads and writes 256 KB in place, half of a small second-level cache; returns the
// bytes moved. To write elsewhere moves more: the old lines are fetched first.
double stream(float* values) {
    constexpr int64_t kCount = 64 * 1024;
    auto* y = reinterpret_cast<peak::Vector*>(values);
    for (int64_t i = 0; i < kCount * 4 / peak::bytes; ++i) y[i] = -y[i];
    return 2.0 * kCount * sizeof(float);
}

// Seconds a call: repeats it for about so many seconds, looking at the clock rarely.
double seconds_of(const Call& call, double seconds) {
    for (int64_t calls = 1;; calls *= 4) {
        const double begin = now();
        for (int64_t i = 0; i < calls; ++i) call();
        const double spent = now() - begin;
        if (spent > seconds / 4) return spent / double(calls);
    }
}

}  // namespace

int main(int count, char** words) {
    if (count != 5) return 2;
    const Kernels<float>& kernels = kernels_named(words[1]).of(std::atoi(words[2]));
    const int rounds = std::atoi(words[3]);
    const double seconds = std::atof(words[4]);
    peak::Burst burst(0);
    Memory memory(kernels.lanes);
    float* streamed = memory.floats(64 * 1024);
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream words_of_line(line);
        std::string name;
        words_of_line >> name;
        Numbers numbers;
        for (int64_t number; words_of_line >> number;) numbers.push_back(number);
        Memory own(kernels.lanes);
        const Call call = call_of(kernels, name, numbers, own);
        std::vector<double> times, peaks, streams;
        for (int i = 0; i < rounds + 1; ++i) {  // the first warms up
            double operations = 0.0, bytes = 0.0;
            const double peak_time =
                seconds_of([&] { operations = burst(1 << 12); }, seconds / 4);
            const double stream_time =
                seconds_of([&] { bytes = stream(streamed); }, seconds / 4);
            const double time = seconds_of(call, seconds);
            if (i == 0) continue;
            peaks.push_back(operations / peak_time);
            streams.push_back(bytes / stream_time);
            times.push_back(time);
        }
        std::printf("%.9g %.6g %.6g\n", median(times), median(peaks), median(streams));
        std::fflush(stdout);
    }
}

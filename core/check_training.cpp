// Loss, optimizers, input and augmentation against their reference twins.
#include <cstring>

#include "checker.h"

namespace striate {

void Checker::loss(Sampler& sample) {
    const int64_t K = sample.between(1, 13);
    const double smoothing = sample.between(0, 1) ? 0.1 : 0.0;
    Floats logits(K * lanes_, sample), gradient(K * lanes_), weights(lanes_, sample);
    int32_t labels[kMostLanes], correct[kMostLanes], Correct[kMostLanes];
    double loss[kMostLanes], Loss[kMostLanes];
    const float reach = float(sample.between(1, 30));
    // Rounded half of the time: equal logits, where the first class wins.
    const bool ties = sample.between(0, 1);
    for (int64_t i = 0; i < logits.count(); ++i)
        logits[i] = ties ? std::round(logits[i] * 3.0f) : logits[i] * reach;
    int32_t partners[kMostLanes];
    Floats shares(lanes_, sample);
    for (int l = 0; l < lanes_; ++l) {
        labels[l] = int32_t(sample.between(-1, K - 1));
        partners[l] = int32_t(sample.between(0, K - 1));
        shares[l] = std::fabs(shares[l]) / 2.0f;
    }
    const bool mixed = sample.between(0, 1);
    const Doubles Logits = widen(logits), Weights = widen(weights);
    const Doubles Shares = widen(shares);
    Doubles Gradient(K * lanes_);
    fast_.softmax_cross_entropy(K, logits.data(), labels, mixed ? partners : nullptr,
                                shares.data(), weights.data(), smoothing,
                                gradient.data(), loss, correct);
    wide_.softmax_cross_entropy(K, Logits.data(), labels, mixed ? partners : nullptr,
                                Shares.data(), Weights.data(), smoothing,
                                Gradient.data(), Loss, Correct);
    const double unit = kFunction * std::sqrt(double(K)) * (3.0 + 2.0 * reach);
    compare("softmax_cross_entropy", gradient, Gradient, [&](int64_t) { return unit; });
    for (int l = 0; l < lanes_; ++l) {
        if (std::fabs(loss[l] - Loss[l]) > unit) fail("softmax_cross_entropy: loss");
        if (correct[l] != Correct[l]) fail("softmax_cross_entropy: correct");
    }
    Floats p(K * lanes_);
    Doubles P(K * lanes_);
    fast_.softmax(K, logits.data(), p.data());
    wide_.softmax(K, Logits.data(), P.data());
    compare("softmax", p, P, [&](int64_t) { return unit; });
}

void Checker::optimizers(Sampler& sample) {
    const int64_t count = sample.between(1, 100), slices = sample.between(1, 8);
    std::vector<Floats> slice;
    std::vector<Doubles> Slice;
    std::vector<const float*> parts;
    std::vector<const double*> Parts;
    Doubles magnitude(count);
    for (int64_t i = 0; i < slices; ++i) {
        slice.emplace_back(count, sample);
        Slice.push_back(widen(slice.back()));
        for (int64_t j = 0; j < count; ++j) magnitude[j] += std::fabs(Slice.back()[j]);
    }
    for (int64_t i = 0; i < slices; ++i) {
        parts.push_back(slice[size_t(i)].data());
        Parts.push_back(Slice[size_t(i)].data());
    }
    Floats sum(count);
    Doubles Sum(count);
    const double squares = fast_.sum_slices(count, slices, parts.data(), sum.data());
    const double Squares = wide_.sum_slices(count, slices, Parts.data(), Sum.data());
    compare_sums("sum_slices", sum, Sum, magnitude, slices);
    if (std::fabs(squares - Squares) > 1e-5 * (Squares + 1.0))
        fail("sum_slices: squares");

    for (const Optimizer kind : {Optimizer::sgd, Optimizer::adam, Optimizer::adamw}) {
        UpdateRule rule{};
        rule.kind = kind;
        rule.learning_rate = 0.1;
        rule.momentum = 0.9;
        rule.weight_decay = sample.between(0, 1) ? 0.01 : 0.0;
        rule.nesterov = sample.between(0, 1);
        rule.beta1 = 0.9;
        rule.beta2 = 0.999;
        rule.epsilon = 1e-8;
        rule.correction1 = 0.19;
        rule.correction2 = 0.002;
        rule.gradient_scale = 0.5;
        Floats w(count, sample), g(count, sample), first(count, sample),
            second(count, sample);
        for (int64_t i = 0; i < count; ++i) second[i] = std::fabs(second[i]) + 0.01f;
        Doubles W = widen(w), First = widen(first), Second = widen(second);
        const Doubles G = widen(g);
        const bool momentum = kind != Optimizer::sgd || sample.between(0, 1);
        fast_.update(rule, count, w.data(), g.data(), momentum ? first.data() : nullptr,
                     second.data());
        wide_.update(rule, count, W.data(), G.data(), momentum ? First.data() : nullptr,
                     Second.data());
        // Every value is a handful of operations on numbers below 12.
        const auto bound = [](int64_t) { return 12.0 * kFunction; };
        compare("update: weights", w, W, bound);
        compare("update: first moment", first, First, bound);
        compare("update: second moment", second, Second, bound);
        Floats mean(count, sample);
        Doubles Mean = widen(mean);
        W = widen(w);
        fast_.average(0.3, count, w.data(), mean.data());
        wide_.average(0.3, count, W.data(), Mean.data());
        compare("average", mean, Mean, bound);
    }
}

void Checker::input(Sampler& sample) {
    PixelShape s{};
    s.height = sample.between(1, 9);
    s.width = sample.between(1, 9);
    s.C = sample.between(1, 3);
    s.top = sample.between(0, 2);
    s.left = sample.between(0, 2);
    s.H = s.height + s.top + sample.between(0, 2);
    s.W = s.width + s.left + sample.between(0, 2);
    const int64_t size = s.height * s.width * s.C;
    Guarded<uint8_t> pixels(lanes_ * size);
    const uint8_t* images[kMostLanes];
    for (int64_t i = 0; i < pixels.count(); ++i)
        pixels[i] = uint8_t(sample.between(0, 255));
    for (int l = 0; l < lanes_; ++l) images[l] = pixels.data() + l * size;
    const Floats table(s.C * 256, sample), fill(s.C, sample);
    Floats x(s.C * s.H * s.W * lanes_);
    Doubles X(x.count());
    fast_.gather_pixels(s, images, table.data(), fill.data(), x.data());
    wide_.gather_pixels(s, images, table.data(), fill.data(), X.data());
    compare("gather_pixels", x, X, [](int64_t) { return 0.0; });

    const int64_t count = s.C * s.H * s.W, stride = (count + 15) / 16 * 16;
    Floats rows(lanes_ * stride, 0.0f);
    Doubles Rows(lanes_ * stride);
    fast_.lanes_to_rows(count, x.data(), rows.data(), stride);
    wide_.lanes_to_rows(count, X.data(), Rows.data(), stride);
    compare("lanes_to_rows", rows, Rows, [](int64_t) { return 0.0; });
}

void Checker::augmentation(Sampler& sample) {
    PixelShape s{};
    s.C = sample.between(0, 1) ? 3 : sample.between(1, 4);
    s.H = sample.between(1, 12);
    s.W = sample.between(1, 12);
    const int64_t values = s.C * s.H * s.W * lanes_;
    const Floats frame(s.C * (s.H + 3) * (s.W + 3) * lanes_, sample);
    const Doubles Frame = widen(frame);
    Warp<float> warp{};
    Warp<double> Warped{};
    // Some images leave the frame altogether.
    Floats map(6 * lanes_, sample);
    for (int64_t i = 0; i < map.count(); ++i)
        map[i] *= i / lanes_ % 3 == 2 ? 12.0f : 1.5f;
    const Doubles Map = widen(map);
    warp.map = map.data();
    Warped.map = Map.data();
    warp.spacing = Warped.spacing = double(sample.between(2, 9)) / 2.0;
    warp.GH = Warped.GH = int64_t(double(s.H - 1) / warp.spacing) + 4;
    warp.GW = Warped.GW = int64_t(double(s.W - 1) / warp.spacing) + 4;
    const Floats grid(2 * warp.GH * warp.GW * lanes_, sample);
    const Doubles Grid = widen(grid);
    Floats scratch(2 * warp.GW * lanes_);
    warp.scratch = scratch.data();
    if (sample.between(0, 1)) {
        warp.grid = grid.data();
        Warped.grid = Grid.data();
    }
    Floats x(values, 7.0f);
    Doubles X(values);
    fast_.resample(s, warp, frame.data(), x.data());
    wide_.resample(s, Warped, Frame.data(), X.data());
    if (!scratch.intact()) fail("resample wrote outside of its scratch");
    // A place is at most ten operations on numbers up to 1.5 (12 + 12) + 12 + 1,
    // and moving it by d changes the value by at most 2 d along each axis.
    compare("resample", x, X, [](int64_t) { return 2 * 2 * 10 * kUnit * 49.0; });

    const Floats tint(9 * lanes_, sample), gain(lanes_, sample),
        offset(s.C * lanes_, sample);
    Floats noise(s.C, sample), low(s.C, -1.5f), high(s.C, 1.25f);
    for (int64_t c = 0; c < s.C; ++c) noise[c] *= 0.01f;
    const Doubles Tint = widen(tint), Gain = widen(gain), Offset = widen(offset),
                  Noise = widen(noise), Low = widen(low), High = widen(high);
    uint32_t keys[kMostLanes];
    int32_t box[4 * kMostLanes];
    for (int l = 0; l < lanes_; ++l) {
        keys[l] = uint32_t(sample.between(0, 0xffffffff));
        for (int axis = 0; axis < 2; ++axis) {
            const int64_t side = axis ? s.W : s.H, first = sample.between(0, side);
            box[2 * axis * lanes_ + l] = int32_t(first);
            box[(2 * axis + 1) * lanes_ + l] = int32_t(sample.between(first, side));
        }
    }
    alignas(64) uint32_t noise_key[kMostLanes];
    std::memcpy(noise_key, keys, sizeof keys);
    const bool tinted = s.C == 3 && sample.between(0, 1), noisy = sample.between(0, 1);
    X = widen(x);
    fast_.adjust(
        s,
        {tinted ? tint.data() : nullptr, gain.data(), offset.data(),
         noisy ? noise.data() : nullptr, noise_key, low.data(), high.data(), box},
        x.data());
    wide_.adjust(
        s,
        {tinted ? Tint.data() : nullptr, Gain.data(), Offset.data(),
         noisy ? Noise.data() : nullptr, noise_key, Low.data(), High.data(), box},
        X.data());
    // Six products of numbers up to 3, and the noise of up to 5.1.
    compare("adjust", x, X, [](int64_t) { return 6 * kUnit * 9.0; });

    Floats other(values, sample);
    const Doubles Other = widen(other);
    X = widen(x);
    fast_.blend(values / lanes_, gain.data(), other.data(), x.data());
    wide_.blend(values / lanes_, Gain.data(), Other.data(), X.data());
    compare("blend", x, X, [](int64_t) { return 3 * kUnit * 3.0; });
}

}  // namespace striate

// Sums, activations, the loss and the update of the weights: one value at a time.

static void add(int64_t count, const float* a, const float* b,
                const ActivationRule* rectifier, float* y) {
    for (int64_t i = 0; i < count * kLanes; i += kWidth) {
        Vector sum[] = {load(a + i) + load(b + i)};
        rectify(rectifier, sum);
        store(y + i, sum[0]);
    }
}

static void activation_forward(const ActivationRule& rule, int64_t count,
                               const float* x, float* y) {
    const float slope = float(rule.slope), height = float(rule.height);
    const float steepness = float(rule.steepness);
    const int64_t end = count * kLanes;
    switch (rule.kind) {
        case Activation::relu:  // written so that NaN, not below zero, passes on
            for (int64_t i = 0; i < end; i += kWidth) {
                const Vector v = load(x + i);
                store(y + i, select(v < 0.0f, Vector{}, v));
            }
            break;
        case Activation::leaky_relu:
            for (int64_t i = 0; i < end; i += kWidth) {
                const Vector v = load(x + i);
                store(y + i, select(v < 0.0f, v * slope, v));
            }
            break;
        case Activation::tanh:
            for (int64_t i = 0; i < end; i += kWidth)
                store(y + i, height * hyperbolic_tangent(load(x + i) * steepness));
            break;
        case Activation::sigmoid:
            for (int64_t i = 0; i < end; i += kWidth)
                store(y + i, 1.0f / (1.0f + exponential(-load(x + i))));
            break;
    }
}

static void activation_backward(const ActivationRule& rule, int64_t count,
                                const float* y, float* dy) {
    const float steepness = float(rule.steepness);
    const float height = float(rule.height), share = steepness / height;
    const int64_t end = count * kLanes;
    switch (rule.kind) {
        case Activation::relu:
        case Activation::leaky_relu:
            pass_back(rule, count, y, dy);
            break;
        case Activation::tanh:  // steepness / height * (height^2 - y^2)
            for (int64_t i = 0; i < end; i += kWidth) {
                const Vector v = load(y + i);
                store(dy + i, load(dy + i) * (height - v) * (height + v) * share);
            }
            break;
        case Activation::sigmoid:
            for (int64_t i = 0; i < end; i += kWidth) {
                const Vector v = load(y + i);
                store(dy + i, load(dy + i) * v * (1.0f - v));
            }
            break;
    }
}

// probabilities[k] = exp(logit[k] - maximum) / sum; returns sum and maximum by lane.
static void softmax_parts(int64_t classes, const float* logits, float* probabilities,
                          float* sums, float* maxima) {
    for (int part = 0; part < kLanes; part += kWidth) {
        Vector maximum = load(logits + part), sum = {};
        for (int64_t k = 1; k < classes; ++k) {
            const Vector v = load(logits + k * kLanes + part);
            maximum = select(v > maximum, v, maximum);
        }
        for (int64_t k = 0; k < classes; ++k) {
            const Vector e = exponential(load(logits + k * kLanes + part) - maximum);
            store(probabilities + k * kLanes + part, e);
            sum += e;
        }
        for (int64_t k = 0; k < classes; ++k) {
            float* p = probabilities + k * kLanes + part;
            store(p, load(p) / sum);
        }
        store(sums + part, sum);
        store(maxima + part, maximum);
    }
}

static void softmax(int64_t classes, const float* logits, float* probabilities) {
    alignas(64) float sums[kLanes], maxima[kLanes];
    softmax_parts(classes, logits, probabilities, sums, maxima);
}

static void softmax_cross_entropy(int64_t classes, const float* logits,
                                  const int32_t* labels, const int32_t* partners,
                                  const float* shares, const float* weights,
                                  double smoothing, float* gradient, double* loss,
                                  int32_t* correct) {
    alignas(64) float sums[kLanes], maxima[kLanes];
    softmax_parts(classes, logits, gradient, sums, maxima);
    const double background = smoothing / double(classes);
    for (int lane = 0; lane < kLanes; ++lane) {
        const int32_t label = labels[lane];
        const int32_t partner = partners ? partners[lane] : label;
        const double second = partners ? (1.0 - smoothing) * double(shares[lane]) : 0.0;
        const double target = 1.0 - smoothing - second;
        loss[lane] = 0.0;
        correct[lane] = 0;
        if (label < 0) {
            for (int64_t k = 0; k < classes; ++k) gradient[k * kLanes + lane] = 0.0f;
            continue;
        }
        const double log_sum = double(maxima[lane]) + log(double(sums[lane]));
        const float own = logits[label * kLanes + lane];
        loss[lane] = target * (log_sum - double(own));
        if (second > 0.0)
            loss[lane] += second * (log_sum - double(logits[partner * kLanes + lane]));
        if (smoothing > 0.0) {
            for (int64_t k = 0; k < classes; ++k)
                loss[lane] +=
                    background * (log_sum - double(logits[k * kLanes + lane]));
        }
        correct[lane] = own == own;
        for (int64_t k = 0; k < classes; ++k) {
            const float rival = logits[k * kLanes + lane];
            if (rival > own || (rival == own && k < label)) correct[lane] = 0;
            const double q = background + (k == label ? target : 0.0) +
                             (k == partner ? second : 0.0);
            float* g = gradient + k * kLanes + lane;
            *g = weights[lane] * (*g - float(q));
        }
    }
}

// Many sums at once: one alone would wait for each addition before the next.
constexpr int kSquares = kRegisters == 32 ? 32 : 16;

static double sum_squares(int64_t count, const float* x) {
    double sums[kSquares] = {}, total = 0.0;
    int64_t i = 0;
    for (; i + kSquares <= count; i += kSquares) {
        STRIATE_UNROLL
        for (int k = 0; k < kSquares; ++k)
            sums[k] += double(x[i + k]) * double(x[i + k]);
    }
    for (; i < count; ++i) total += double(x[i]) * double(x[i]);
    for (double sum : sums) total += sum;
    return total;
}

static double sum_slices(int64_t count, int64_t slices, const float* const* parts,
                         float* sum) {
    int64_t i = 0;
    for (; i + kWidth <= count; i += kWidth) {
        Vector total = load_loose(parts[0] + i);
        for (int64_t s = 1; s < slices; ++s) total += load_loose(parts[s] + i);
        store_loose(sum + i, total);
    }
    for (; i < count; ++i) {
        float total = parts[0][i];
        for (int64_t s = 1; s < slices; ++s) total += parts[s][i];
        sum[i] = total;
    }
    return sum_squares(count, sum);
}

// The compiler turns these loops into vectors by itself.
static void update(const UpdateRule& rule, int64_t count, float* __restrict w,
                   const float* __restrict gradient, float* __restrict state0,
                   float* __restrict state1) {
    const float rate = float(rule.learning_rate), scale = float(rule.gradient_scale);
    const float decay = float(rule.weight_decay);
    if (rule.kind == Optimizer::sgd) {
        const float momentum = float(rule.momentum);
        if (!state0) {
            for (int64_t i = 0; i < count; ++i)
                w[i] -= rate * (gradient[i] * scale + decay * w[i]);
        } else if (rule.nesterov) {
            for (int64_t i = 0; i < count; ++i) {
                const float g = gradient[i] * scale + decay * w[i];
                state0[i] = momentum * state0[i] + g;
                w[i] -= rate * (g + momentum * state0[i]);
            }
        } else {
            for (int64_t i = 0; i < count; ++i) {
                state0[i] = momentum * state0[i] + (gradient[i] * scale + decay * w[i]);
                w[i] -= rate * state0[i];
            }
        }
        return;
    }
    const bool decoupled = rule.kind == Optimizer::adamw;
    const float beta1 = float(rule.beta1), beta2 = float(rule.beta2);
    const float keep1 = float(1.0 - rule.beta1), keep2 = float(1.0 - rule.beta2);
    const float shrink =
        decoupled ? float(1.0 - rule.learning_rate * rule.weight_decay) : 1.0f;
    const float coupled = decoupled ? 0.0f : decay;
    const float step = float(rule.learning_rate / rule.correction1);
    const float root = float(1.0 / __builtin_sqrt(rule.correction2));
    const float epsilon = float(rule.epsilon);
    for (int64_t i = 0; i < count; ++i) {
        const float g = gradient[i] * scale + coupled * w[i];
        state0[i] = beta1 * state0[i] + keep1 * g;
        state1[i] = beta2 * state1[i] + keep2 * (g * g);
        w[i] = w[i] * shrink -
               step * state0[i] / (__builtin_sqrtf(state1[i]) * root + epsilon);
    }
}

static void average(double share, int64_t count, const float* __restrict w,
                    float* __restrict average) {
    const float part = float(share);
    for (int64_t i = 0; i < count; ++i) average[i] += part * (w[i] - average[i]);
}

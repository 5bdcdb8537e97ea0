// The reference twins of pointwise.inl.

// What the rule, relu or leaky_relu, makes of a value; without one it stays.
double rectified(const ActivationRule* rule, double value) {
    if (!rule || !(value < 0.0)) return value;
    return rule->kind == Activation::leaky_relu ? rule->slope * value : 0.0;
}

// What it passes back of a gradient, where it has put out y.
double passed_back(const ActivationRule& rule, double y, double gradient) {
    if (!(y <= 0.0)) return gradient;
    return rule.kind == Activation::leaky_relu ? rule.slope * gradient : 0.0;
}

template <class T, int L>
void add(int64_t count, const T* a, const T* b, const ActivationRule* rectifier, T* y) {
    for (int64_t i = 0; i < count * L; ++i)
        y[i] = T(rectified(rectifier, double(a[i]) + double(b[i])));
}

template <class T, int L>
void activation_forward(const ActivationRule& rule, int64_t count, const T* x, T* y) {
    for (int64_t i = 0; i < count * L; ++i) {
        const double v = double(x[i]);
        switch (rule.kind) {
            case Activation::relu:
                y[i] = T(v < 0.0 ? 0.0 : v);
                break;
            case Activation::leaky_relu:
                y[i] = T(v < 0.0 ? rule.slope * v : v);
                break;
            case Activation::tanh:
                y[i] = T(rule.height * std::tanh(rule.steepness * v));
                break;
            case Activation::sigmoid:
                y[i] = T(1.0 / (1.0 + std::exp(-v)));
                break;
        }
    }
}

template <class T, int L>
void activation_backward(const ActivationRule& rule, int64_t count, const T* y, T* dy) {
    for (int64_t i = 0; i < count * L; ++i) {
        const double v = double(y[i]), g = double(dy[i]), height = rule.height;
        switch (rule.kind) {
            case Activation::relu:
                dy[i] = T(v <= 0.0 ? 0.0 : g);
                break;
            case Activation::leaky_relu:
                dy[i] = T(v <= 0.0 ? rule.slope * g : g);
                break;
            case Activation::tanh:
                dy[i] = T(g * rule.steepness * (height - v * v / height));
                break;
            case Activation::sigmoid:
                dy[i] = T(g * v * (1.0 - v));
                break;
        }
    }
}

// Of one lane; returns log of the sum of exponentials.
template <class T, int L>
double softmax_lane(int64_t classes, const T* logits, T* probabilities, int lane) {
    double maximum = double(logits[lane]), sum = 0.0;
    for (int64_t k = 1; k < classes; ++k)
        maximum = std::fmax(maximum, double(logits[k * L + lane]));
    for (int64_t k = 0; k < classes; ++k)
        sum += std::exp(double(logits[k * L + lane]) - maximum);
    for (int64_t k = 0; k < classes; ++k)
        probabilities[k * L + lane] =
            T(std::exp(double(logits[k * L + lane]) - maximum) / sum);
    return maximum + std::log(sum);
}

template <class T, int L>
void softmax(int64_t classes, const T* logits, T* probabilities) {
    for (int l = 0; l < L; ++l) softmax_lane<T, L>(classes, logits, probabilities, l);
}

template <class T, int L>
void softmax_cross_entropy(int64_t classes, const T* logits, const int32_t* labels,
                           const int32_t* partners, const T* shares, const T* weights,
                           double smoothing, T* gradient, double* loss,
                           int32_t* correct) {
    for (int l = 0; l < L; ++l) {
        loss[l] = 0.0;
        correct[l] = 0;
        if (labels[l] < 0) {
            for (int64_t k = 0; k < classes; ++k) gradient[k * L + l] = T(0);
            continue;
        }
        const double log_sum = softmax_lane<T, L>(classes, logits, gradient, l);
        const T own = logits[labels[l] * L + l];
        correct[l] = !std::isnan(own);
        const double share = partners ? double(shares[l]) : 0.0;
        for (int64_t k = 0; k < classes; ++k) {
            const T rival = logits[k * L + l];
            double q = smoothing / double(classes);
            if (k == labels[l]) q += (1.0 - smoothing) * (1.0 - share);
            if (partners && k == partners[l]) q += (1.0 - smoothing) * share;
            if (q > 0.0) loss[l] += q * (log_sum - double(rival));
            if (rival > own || (rival == own && k < labels[l])) correct[l] = 0;
            T& g = gradient[k * L + l];
            g = T(double(weights[l]) * (double(g) - q));
        }
    }
}

template <class T>
double sum_squares(int64_t count, const T* x) {
    double squares = 0.0;
    for (int64_t i = 0; i < count; ++i) squares += double(x[i]) * double(x[i]);
    return squares;
}

template <class T>
double sum_slices(int64_t count, int64_t slices, const T* const* parts, T* sum) {
    double squares = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        double total = 0.0;
        for (int64_t s = 0; s < slices; ++s) total += double(parts[s][i]);
        sum[i] = T(total);
        squares += total * total;
    }
    return squares;
}

template <class T>
void update(const UpdateRule& rule, int64_t count, T* w, const T* gradient, T* state0,
            T* state1) {
    for (int64_t i = 0; i < count; ++i) {
        double weight = double(w[i]), g = double(gradient[i]) * rule.gradient_scale;
        if (rule.kind == Optimizer::adamw) {
            weight -= rule.learning_rate * rule.weight_decay * weight;
        } else {
            g += rule.weight_decay * weight;
        }
        if (rule.kind == Optimizer::sgd) {
            if (state0) {
                const double velocity = rule.momentum * double(state0[i]) + g;
                state0[i] = T(velocity);
                g = rule.nesterov ? g + rule.momentum * velocity : velocity;
            }
            w[i] = T(weight - rule.learning_rate * g);
            continue;
        }
        const double mean = rule.beta1 * double(state0[i]) + (1.0 - rule.beta1) * g;
        const double square =
            rule.beta2 * double(state1[i]) + (1.0 - rule.beta2) * g * g;
        state0[i] = T(mean);
        state1[i] = T(square);
        w[i] = T(weight - rule.learning_rate * (mean / rule.correction1) /
                              (std::sqrt(square / rule.correction2) + rule.epsilon));
    }
}

template <class T>
void average(double share, int64_t count, const T* w, T* average) {
    for (int64_t i = 0; i < count; ++i)
        average[i] =
            T(double(average[i]) + share * (double(w[i]) - double(average[i])));
}

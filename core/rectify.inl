// relu and leaky_relu as other kernels apply them to what they store: a pass of its own
// reads and writes a whole map once more, and wide maps lie beyond the caches.

// What the rule makes of values; without one they stay.
template <int N>
STRIATE_INLINE void rectify(const ActivationRule* rule, Vector (&values)[N]) {
    if (!rule) return;
    if (rule->kind == Activation::relu) {  // so that NaN, not below zero, passes on
        STRIATE_UNROLL
        for (int i = 0; i < N; ++i)
            values[i] = select(values[i] < 0.0f, Vector{}, values[i]);
        return;
    }
    const float slope = float(rule->slope);
    STRIATE_UNROLL
    for (int i = 0; i < N; ++i)
        values[i] = select(values[i] < 0.0f, values[i] * slope, values[i]);
}

// The gradient of what the rule was given, from that of its result and the result y.
STRIATE_INLINE Vector pass_back(const ActivationRule& rule, Vector y, Vector gradient) {
    if (rule.kind == Activation::relu) return select(y <= 0.0f, Vector{}, gradient);
    return select(y <= 0.0f, gradient * float(rule.slope), gradient);
}
// The same for count lanes-wide values, in place.
STRIATE_INLINE void pass_back(const ActivationRule& rule, int64_t count, const float* y,
                              float* dy) {
    for (int64_t i = 0; i < count * kLanes; i += kWidth)
        store(dy + i, pass_back(rule, load(y + i), load(dy + i)));
}

// What Kiln calls of libtorch's C++ interface that the Rust bindings leave out.
//
// Each function returns null, or what went wrong: a string that lives until the next call on the same thread. Tensors
// that are handed out belong to the caller.

#include <exception>
#include <string>
#include <tuple>

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_scaled_dot_product_efficient_attention.h>
#include <ATen/ops/_scaled_dot_product_efficient_attention_backward.h>
#include <ATen/ops/_scaled_dot_product_flash_attention.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/native_layer_norm_backward.h>

using at::Tensor;

namespace {

template <class Call>
const char* guarded(Call call) {
    thread_local std::string message;
    try {
        call();
        return nullptr;
    } catch (const std::exception& error) {
        message = error.what();
        return message.c_str();
    }
}

void hand_out(Tensor** outputs, std::initializer_list<Tensor> tensors) {
    for (const Tensor& tensor : tensors) {
        // The bindings know no tensor without a value.
        *outputs++ = new Tensor(tensor.defined() ? tensor : at::empty({0}));
    }
}

// The random state of a pass without dropout is no tensor.
Tensor state(const Tensor* tensor) {
    return tensor->numel() > 0 ? *tensor : Tensor();
}

}  // namespace

extern "C" {

// outputs: gradients of input, weight and bias.
const char* kiln_layer_norm_backward(Tensor** outputs, const Tensor* gradient, const Tensor* input, const Tensor* mean,
                               const Tensor* rstd, const Tensor* weight) {
    return guarded([=] {
        // The gradient of the bias is only made where there is a bias: any in its shape will do.
        auto [d_input, d_weight, d_bias] = at::native_layer_norm_backward(
            *gradient, *input, weight->sizes(), *mean, *rstd, *weight, *weight, {true, true, true});
        hand_out(outputs, {d_input, d_weight, d_bias});
    });
}

// q, k, v: [batch, n_heads, seq, head_dim]; outputs: the result, the logarithm of each row's sum, and two tensors of
// random state.
const char* kiln_attention(Tensor** outputs, const Tensor* q, const Tensor* k, const Tensor* v, double scale, double dropout,
                     bool half) {
    return guarded([=] {
        if (half) {
            auto all = at::_scaled_dot_product_flash_attention(*q, *k, *v, dropout, true, false, scale);
            hand_out(outputs, {std::get<0>(all), std::get<1>(all), std::get<6>(all), std::get<7>(all)});
        } else {
            auto [out, lse, seed, offset] =
                at::_scaled_dot_product_efficient_attention(*q, *k, *v, {}, true, dropout, true, scale);
            hand_out(outputs, {out, lse, seed, offset});
        }
    });
}

// forward: what kiln_attention handed out; outputs: gradients of q, k and v.
const char* kiln_attention_backward(Tensor** outputs, const Tensor* gradient, const Tensor* q, const Tensor* k,
                              const Tensor* v, const Tensor* const* forward, double scale, double dropout, bool half) {
    return guarded([=] {
        const Tensor &out = *forward[0], &lse = *forward[1];
        const Tensor seed = state(forward[2]), offset = state(forward[3]);
        if (half) {
            const int64_t seq = q->size(2);
            auto [d_q, d_k, d_v] = at::_scaled_dot_product_flash_attention_backward(
                *gradient, *q, *k, *v, out, lse, {}, {}, seq, seq, dropout, true, seed, offset, scale);
            hand_out(outputs, {d_q, d_k, d_v});
        } else {
            auto [d_q, d_k, d_v, _] = at::_scaled_dot_product_efficient_attention_backward(
                *gradient, *q, *k, *v, {}, out, lse, seed, offset, dropout, {true, true, true, false}, true, scale);
            hand_out(outputs, {d_q, d_k, d_v});
        }
    });
}

// Updates parameter and moments in place.
const char* kiln_adamw(Tensor* parameter, const Tensor* gradient, Tensor* first, Tensor* second, double step,
                 double learning_rate, double beta1, double beta2, double weight_decay, double epsilon) {
    return guarded([=] {
        const Tensor steps = at::full({}, step, parameter->options().dtype(at::kFloat));
        at::_fused_adamw_({*parameter}, {*gradient}, {*first}, {*second}, {}, {steps}, learning_rate, beta1, beta2,
                          weight_decay, epsilon, false, false);
    });
}

// Whether products of f32 may round their factors to TF32.
const char* kiln_allow_tf32(bool allow) {
    return guarded([=] {
        at::globalContext().setAllowTF32CuBLAS(allow);
        at::globalContext().setAllowTF32CuDNN(allow);
    });
}
}

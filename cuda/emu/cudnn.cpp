// The twins of cuDNN's functions for graphs of one convolution, as its manual describes them. A
// descriptor is what it was told; finalizing one checks that its attributes are all there, of the
// right types and sizes; executing a plan convolves by loops. The heuristic proposes two engines,
// the first of which sums in an order that varies, as a user who promises the same bits must
// notice.

#include <cudnn.h>

#include <array>
#include <cstring>
#include <map>
#include <vector>

#include <brume/core/dtype.h>
#include <brume/cuda/emu/device_memory.h>
#include <brume/cuda/emu/library.h>

using brume::bf16, brume::f16;

namespace {

struct Attribute {
  cudnnBackendAttributeType_t type;
  int64_t count;
  std::vector<unsigned char> bytes;
};

size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;
  }
}

}  // namespace

struct cudnnBackendOpaqueDescriptor {
  cudnnBackendDescriptorType_t type;
  bool final = false;
  std::map<int, Attribute> attributes;
  cudnnBackendNumericalNote_t note = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;  // of an engine

  template <class T>
  std::vector<T> all(int name) const {
    const Attribute& a = attributes.at(name);
    std::vector<T> values(static_cast<size_t>(a.count));
    std::memcpy(values.data(), a.bytes.data(), a.bytes.size());
    return values;
  }
  template <class T>
  T one(int name) const {
    return all<T>(name).at(0);
  }
};

namespace {

using Descriptor = cudnnBackendOpaqueDescriptor;

/// What a descriptor needs before it is final: count 0 stands for any.
struct Need {
  int name;
  cudnnBackendAttributeType_t type;
  int64_t count = 1;
};

std::vector<Need> needs_of_operation(int first) {
  // Alpha and beta stand first, then the convolution and its three tensors.
  std::vector<Need> needs = {{first, CUDNN_TYPE_FLOAT}, {first + 1, CUDNN_TYPE_FLOAT}};
  for (int i = 2; i < 6; ++i) needs.push_back({first + i, CUDNN_TYPE_BACKEND_DESCRIPTOR});
  return needs;
}

std::vector<Need> needs_of(const Descriptor& d) {
  switch (d.type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
      return {{CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE},
              {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 0},
              {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 0},
              {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64},
              {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64}};
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: {
      if (!d.attributes.contains(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS))
        return {{CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64}};
      const auto axes = d.one<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
      return {{CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64},
              {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE},
              {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE},
              {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, axes},
              {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, axes},
              {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, axes},
              {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, axes}};
    }
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return needs_of_operation(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return needs_of_operation(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      return needs_of_operation(CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      return {{CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE},
              {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR}};
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      return {{CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR},
              {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE}};
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      return {{CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE},
              {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR}};
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
      return {{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 3},
              {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3},
              {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR}};
    default:
      return {};
  }
}

/// Sizes and strides as [n][c][d][h][w].
struct Tensor {
  cudnnDataType_t type;
  int64_t id;
  std::array<int64_t, 5> size{1, 1, 1, 1, 1}, stride{};
  void* data = nullptr;

  explicit Tensor(const Descriptor& d)
      : type(d.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE)),
        id(d.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)) {
    const auto sizes = d.all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS),
               strides = d.all<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    for (size_t i = 0; i < sizes.size(); ++i) {
      const size_t to = i < 2 ? i : i + 5 - sizes.size();
      size[to] = sizes[i];
      stride[to] = strides.at(i);
    }
  }
  int64_t offset(const std::array<int64_t, 5>& at) const {
    int64_t sum = 0;
    for (size_t i = 0; i < 5; ++i) sum += at[i] * stride[i];
    return sum;
  }
};

/// A convolution out of a descriptor of an operation.
struct Convolution {
  cudnnBackendDescriptorType_t pass;
  Tensor x, w, y;
  std::array<int64_t, 3> stride{1, 1, 1}, padding{0, 0, 0}, dilation{1, 1, 1};

  explicit Convolution(const Descriptor& d)
      : pass(d.type),
        x(part(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X)),
        w(part(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW)),
        y(part(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY)) {
    const Descriptor& g = part(d, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC);
    const auto take = [&](int name, std::array<int64_t, 3>& to) {
      const auto values = g.all<int64_t>(name);
      for (size_t i = 0; i < values.size(); ++i) to[i + 3 - values.size()] = values[i];
    };
    take(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride);
    take(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding);
    take(CUDNN_ATTR_CONVOLUTION_DILATIONS, dilation);
  }
  bool fits() const {
    bool all = x.size[0] == y.size[0] && w.size[0] == y.size[1] && x.size[1] % w.size[1] == 0 &&
               y.size[1] % (x.size[1] / w.size[1]) == 0 && x.type == w.type && x.type == y.type;
    for (size_t i = 0; i < 3; ++i) {
      const int64_t reach = dilation[i] * (w.size[i + 2] - 1) + 1;
      all &= y.size[i + 2] == (x.size[i + 2] + 2 * padding[i] - reach) / stride[i] + 1;
    }
    return all;
  }

 private:
  static const Descriptor& part(const Descriptor& d, int forward, int data, int filter) {
    const bool is_forward = d.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    const bool is_data = d.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    return *d.one<Descriptor*>(is_forward ? forward : is_data ? data : filter);
  }
};

/// f(from, to) for all indices below the sizes.
template <size_t kAxes, class F>
void for_each_index(const std::array<int64_t, kAxes>& size, F&& f) {
  std::array<int64_t, kAxes> at{};
  for (const int64_t n : size)
    if (n == 0) return;
  while (true) {
    f(at);
    size_t axis = kAxes;
    while (axis-- > 0 && ++at[axis] == size[axis]) at[axis] = 0;
    if (axis == size_t(-1)) return;
  }
}

template <class T>
void convolve(const Convolution& c) {
  const Tensor& to = c.pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? c.y
                     : c.pass == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? c.x
                                                                                              : c.w;
  const auto number = [](const Tensor& t, const std::array<int64_t, 5>& at) {
    return static_cast<float>(static_cast<const T*>(t.data)[t.offset(at)]);
  };
  std::map<int64_t, double> sums;
  const int64_t groups = c.x.size[1] / c.w.size[1], rows = c.y.size[1] / groups;
  for_each_index(to.size, [&](const auto& at) { sums[to.offset(at)] = 0; });
  for_each_index(c.y.size, [&](const std::array<int64_t, 5>& y) {
    for_each_index<4>({c.w.size[1], c.w.size[2], c.w.size[3], c.w.size[4]}, [&](const auto& tap) {
      std::array<int64_t, 5> x{y[0], y[1] / rows * c.w.size[1] + tap[0]};
      for (size_t i = 0; i < 3; ++i) {
        x[i + 2] = y[i + 2] * c.stride[i] - c.padding[i] + tap[i + 1] * c.dilation[i];
        if (x[i + 2] < 0 || x[i + 2] >= c.x.size[i + 2]) return;
      }
      const std::array<int64_t, 5> w{y[1], tap[0], tap[1], tap[2], tap[3]};
      if (&to == &c.y) sums[to.offset(y)] += double{number(c.x, x)} * number(c.w, w);
      if (&to == &c.x) sums[to.offset(x)] += double{number(c.y, y)} * number(c.w, w);
      if (&to == &c.w) sums[to.offset(w)] += double{number(c.y, y)} * number(c.x, x);
    });
  });
  for (const auto& [at, sum] : sums) static_cast<T*>(to.data)[at] = T(static_cast<float>(sum));
}

}  // namespace

size_t cudnnGetVersion() { return 91300; }

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = nullptr;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t) { return CUDNN_STATUS_SUCCESS; }

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  *descriptor = new Descriptor{.type = type, .attributes = {}};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  delete descriptor;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void* values) {
  if (descriptor->final) return CUDNN_STATUS_BAD_PARAM;
  const auto* bytes = static_cast<const unsigned char*>(values);
  Attribute a{type, count, {bytes, bytes + static_cast<size_t>(count) * size_of(type)}};
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
    const Descriptor* part = nullptr;
    std::memcpy(&part, values, sizeof part);
    if (!part->final) return CUDNN_STATUS_BAD_PARAM;
  }
  descriptor->attributes[name] = std::move(a);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d) {
  const std::vector<Need> needs = needs_of(*d);
  if (needs.empty() || needs.size() != d->attributes.size()) return CUDNN_STATUS_BAD_PARAM;
  for (const Need& need : needs) {
    const auto found = d->attributes.find(need.name);
    if (found == d->attributes.end() || found->second.type != need.type ||
        (need.count != 0 && found->second.count != need.count))
      return CUDNN_STATUS_BAD_PARAM;
  }
  const bool is_operation = d->type >= CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR &&
                            d->type <= CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
  if (is_operation && !Convolution(*d).fits()) return CUDNN_STATUS_BAD_PARAM;
  d->final = true;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t* count, void* values) {
  const auto part = [&](int64_t i) { return static_cast<Descriptor**>(values)[i]; };
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR && d->final &&
      wanted >= 2) {
    *count = 2;
    for (int64_t i = 0; i < 2; ++i) {
      part(i)->attributes[CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH] =
          d->attributes.at(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
      part(i)->note =
          i == 0 ? CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC : CUDNN_NUMERICAL_NOTE_TYPE_COUNT;  // none
      part(i)->final = true;
    }
    return CUDNN_STATUS_SUCCESS;
  }
  *count = 1;
  if (name == CUDNN_ATTR_ENGINECFG_ENGINE && type == CUDNN_TYPE_BACKEND_DESCRIPTOR && wanted == 1) {
    part(0)->note = d->note;
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE) {
    if (d->note == CUDNN_NUMERICAL_NOTE_TYPE_COUNT) *count = 0;
    if (*count == 1) *static_cast<cudnnBackendNumericalNote_t*>(values) = d->note;
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64 && d->final) {
    *static_cast<int64_t*>(values) = 100;
    return CUDNN_STATUS_SUCCESS;
  }
  return CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  if (!plan->final || !pack->final) return CUDNN_STATUS_BAD_PARAM;
  const auto* engine = plan->one<Descriptor*>(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  if (engine->note != CUDNN_NUMERICAL_NOTE_TYPE_COUNT) return CUDNN_STATUS_NOT_SUPPORTED;
  const auto* graph = engine->one<Descriptor*>(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  Convolution c(*graph->one<Descriptor*>(CUDNN_ATTR_OPERATIONGRAPH_OPS));
  const auto ids = pack->all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto data = pack->all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  for (Tensor* t : {&c.x, &c.w, &c.y})
    for (size_t i = 0; i < 3; ++i)
      if (ids[i] == t->id) t->data = data[i];
  const brume::cuda::emu::MemoryAccess access;
  if (c.x.type == CUDNN_DATA_FLOAT) convolve<float>(c);
  if (c.x.type == CUDNN_DATA_HALF) convolve<f16>(c);
  if (c.x.type == CUDNN_DATA_BFLOAT16) convolve<bf16>(c);
  return CUDNN_STATUS_SUCCESS;
}

namespace brume::cuda::emu {

std::span<const Symbol> cudnn_symbols() {
  static const Symbol symbols[] = {
      {"cudnnGetVersion", address_of(cudnnGetVersion)},
      {"cudnnCreate", address_of(cudnnCreate)},
      {"cudnnSetStream", address_of(cudnnSetStream)},
      {"cudnnBackendCreateDescriptor", address_of(cudnnBackendCreateDescriptor)},
      {"cudnnBackendDestroyDescriptor", address_of(cudnnBackendDestroyDescriptor)},
      {"cudnnBackendSetAttribute", address_of(cudnnBackendSetAttribute)},
      {"cudnnBackendGetAttribute", address_of(cudnnBackendGetAttribute)},
      {"cudnnBackendFinalize", address_of(cudnnBackendFinalize)},
      {"cudnnBackendExecute", address_of(cudnnBackendExecute)}};
  return symbols;
}

}  // namespace brume::cuda::emu

#include <brume/cuda/lib/conv_library.h>

#include <cuda_runtime.h>
#include <cudnn.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include <brume/core/error.h>
#include <brume/cuda/lib/shared_library.h>
#include <brume/cuda/scratch.h>

namespace brume::cuda {
namespace {

constexpr const char* kFile = "libcudnn.so.9";

/// The library's functions, and one handle.
struct Library {
  decltype(&cudnnGetVersion) get_version = nullptr;
  decltype(&cudnnCreate) create = nullptr;
  decltype(&cudnnSetStream) set_stream = nullptr;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor = nullptr;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor = nullptr;
  decltype(&cudnnBackendSetAttribute) set = nullptr;
  decltype(&cudnnBackendGetAttribute) get = nullptr;
  decltype(&cudnnBackendFinalize) finalize = nullptr;
  decltype(&cudnnBackendExecute) execute = nullptr;
  cudnnHandle_t handle = nullptr;
  std::string state;  // for the user
  bool usable = false;
};

/// Why the library is not usable; empty if it is.
std::string open(Library& l) {
  SharedLibrary file(kFile);
  file.find("cudnnGetVersion", l.get_version);
  file.find("cudnnCreate", l.create);
  file.find("cudnnSetStream", l.set_stream);
  file.find("cudnnBackendCreateDescriptor", l.create_descriptor);
  file.find("cudnnBackendDestroyDescriptor", l.destroy_descriptor);
  file.find("cudnnBackendSetAttribute", l.set);
  file.find("cudnnBackendGetAttribute", l.get);
  file.find("cudnnBackendFinalize", l.finalize);
  file.find("cudnnBackendExecute", l.execute);
  if (!file.reason().empty()) return file.reason();
  if (l.create(&l.handle) != CUDNN_STATUS_SUCCESS) return "does not start";
  return {};
}

Library find_library() {
  Library l;
  if (!asks_for("BRUME_CONV", "cudnn")) {
    l.state = "convolutions: brume's own kernels (BRUME_CONV=cudnn asks for cuDNN)";
    return l;
  }
  const std::string reason = open(l);
  l.usable = reason.empty();
  l.state = l.usable ? cat("convolutions: cuDNN ", l.get_version())
                     : cat("convolutions: brume's own kernels, since ", kFile, " ", reason);
  return l;
}

const Library& library() {
  static const Library& found = *new Library(find_library());
  return found;
}

void check_dnn(cudnnStatus_t status, const char* call) {
  check<CudaError>(status == CUDNN_STATUS_SUCCESS, "conv: cuDNN's ", call, " says ",
                   static_cast<int>(status));
}

/// One of the library's descriptors.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    check_dnn(library().create_descriptor(type, &handle_), "BackendCreateDescriptor");
  }
  ~Descriptor() {
    if (handle_) library().destroy_descriptor(handle_);
  }
  Descriptor(Descriptor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T* values,
           size_t count) {
    check_dnn(library().set(handle_, name, type, static_cast<int64_t>(count), values),
              "BackendSetAttribute");
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T& value) {
    set(name, type, &value, 1);
  }
  void set(cudnnBackendAttributeName_t name, const std::vector<int64_t>& values) {
    set(name, CUDNN_TYPE_INT64, values.data(), values.size());
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& part) {
    set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, part.handle_);
  }
  /// At most `count` values; those that are descriptors must exist.
  /// @returns how many there are
  template <class T>
  int64_t get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T* values,
              size_t count) const {
    int64_t found = 0;
    check_dnn(library().get(handle_, name, type, static_cast<int64_t>(count), &found, values),
              "BackendGetAttribute");
    return found;
  }
  /// What the library makes of it; descriptors that it does not support end here.
  bool is_supported() { return library().finalize(handle_) == CUDNN_STATUS_SUCCESS; }
  void finalize() { check_dnn(library().finalize(handle_), "BackendFinalize"); }

  cudnnBackendDescriptor_t handle() const { return handle_; }

 private:
  cudnnBackendDescriptor_t handle_ = nullptr;
};

/// Names of the three tensors in a plan.
constexpr int64_t kX = 'x', kW = 'w', kY = 'y';

cudnnDataType_t type_of(DType dtype) {
  return dtype == DType::bf16  ? CUDNN_DATA_BFLOAT16
         : dtype == DType::f16 ? CUDNN_DATA_HALF
                               : CUDNN_DATA_FLOAT;
}

int64_t alignment_of(const View& v) {
  return reinterpret_cast<uintptr_t>(v.data) % 16 == 0 ? 16 : item_size(v.dtype);
}

/// Sizes and strides; one dimension is read as two, the first of size 1.
struct Extents {
  std::vector<int64_t> sizes, strides;
  explicit Extents(const View& v) {
    for (int i = 0; i < v.rank(); ++i) {
      sizes.push_back(v.size(i));
      strides.push_back(v.stride(i));
    }
    if (v.rank() > 3) return;
    sizes.insert(sizes.begin() + 2, 1);
    strides.insert(strides.begin() + 2, v.size(2) * v.stride(2));
  }
};

Descriptor tensor(const View& v, int64_t name) {
  Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  const Extents extents(v);
  d.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type_of(v.dtype));
  d.set(CUDNN_ATTR_TENSOR_DIMENSIONS, extents.sizes);
  d.set(CUDNN_ATTR_TENSOR_STRIDES, extents.strides);
  d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, name);
  d.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, alignment_of(v));
  d.finalize();
  return d;
}

/// The parameters of the spatial axes.
std::vector<int64_t> per_axis(const LibraryConv& c, const int64_t (&values)[3], int64_t neutral) {
  std::vector<int64_t> all(values, values + c.x.rank() - 2);
  if (all.size() == 1) all.insert(all.begin(), neutral);
  return all;
}

Descriptor geometry(const LibraryConv& c) {
  Descriptor d(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  const std::vector<int64_t> padding = per_axis(c, c.params.padding, 0);
  d.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT);
  d.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION);
  d.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64,
        static_cast<int64_t>(padding.size()));
  d.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding);
  d.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding);
  d.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, per_axis(c, c.params.stride, 1));
  d.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, per_axis(c, c.params.dilation, 1));
  d.finalize();
  return d;
}

/// How a pass is told.
struct PassNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t geometry, x, w, y, alpha, beta;
};
PassNames names_of(LibraryConv::Pass pass) {
  switch (pass) {
    case LibraryConv::Pass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case LibraryConv::Pass::input_gradient:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    default:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
  }
}

/// Whether an engine computes as brume promises: the same bits again, sums in f32, f32 exactly
/// unless TF32 was asked for.
bool is_allowed(const Descriptor& engine, const LibraryConv& c) {
  cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT] = {};
  const int64_t count = engine.get(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                   notes, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  const auto has = [&](cudnnBackendNumericalNote_t note) {
    return std::find(notes, notes + count, note) != notes + count;
  };
  if (has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) ||
      has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) || has(CUDNN_NUMERICAL_NOTE_FFT) ||
      has(CUDNN_NUMERICAL_NOTE_WINOGRAD))
    return false;
  const bool exact = c.x.dtype == DType::f32 && c.mode == F32Mode::exact;
  return !exact ||
         !(has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) || has(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS));
}

/// A convolution as the library wants it told, with the engine that it proposes first of those that
/// are allowed.
struct Plan {
  std::vector<Descriptor> parts;       // that the plan refers to
  std::unique_ptr<Descriptor> engine;  // the execution plan; null: not taken
  int64_t workspace = 0;
};

Plan plan_of(const LibraryConv& c) {
  Plan plan;
  const auto keep = [&](Descriptor d) -> Descriptor& {
    plan.parts.push_back(std::move(d));
    return plan.parts.back();
  };
  plan.parts.reserve(64);
  const PassNames names = names_of(c.pass);
  Descriptor& operation = keep(Descriptor(names.type));
  operation.set(names.geometry, keep(geometry(c)));
  operation.set(names.x, keep(tensor(c.x, kX)));
  operation.set(names.w, keep(tensor(c.w, kW)));
  operation.set(names.y, keep(tensor(c.y, kY)));
  operation.set(names.alpha, CUDNN_TYPE_FLOAT, 1.0F);
  operation.set(names.beta, CUDNN_TYPE_FLOAT, 0.0F);
  if (!operation.is_supported()) return plan;
  Descriptor& graph = keep(Descriptor(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR));
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, library().handle);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  if (!graph.is_supported()) return plan;
  Descriptor& heuristic = keep(Descriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR));
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, CUDNN_HEUR_MODE_A);
  if (!heuristic.is_supported()) return plan;

  constexpr size_t kProposals = 16;
  std::vector<cudnnBackendDescriptor_t> proposals;
  const size_t first = plan.parts.size();
  for (size_t i = 0; i < kProposals; ++i)
    proposals.push_back(keep(Descriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)).handle());
  const int64_t count = heuristic.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                      proposals.data(), kProposals);
  for (size_t i = 0; i < kProposals && static_cast<int64_t>(i) < count; ++i) {
    const Descriptor& proposal = plan.parts[first + i];
    const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t engine_handle = engine.handle();
    proposal.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, &engine_handle, 1);
    if (!is_allowed(engine, c)) continue;
    Descriptor execution(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    execution.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, library().handle);
    execution.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, proposal);
    if (!execution.is_supported()) continue;
    execution.get(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, &plan.workspace, 1);
    plan.engine = std::make_unique<Descriptor>(std::move(execution));
    break;
  }
  return plan;
}

/// What a plan depends on.
std::vector<int64_t> key_of(const LibraryConv& c) {
  std::vector<int64_t> key = {static_cast<int64_t>(c.pass), static_cast<int64_t>(c.x.dtype),
                              static_cast<int64_t>(c.mode)};
  for (const View* v : {&c.x, &c.w, &c.y}) {
    const Extents extents(*v);
    key.insert(key.end(), extents.sizes.begin(), extents.sizes.end());
    key.insert(key.end(), extents.strides.begin(), extents.strides.end());
    key.push_back(alignment_of(*v));
  }
  for (const auto& values : {c.params.stride, c.params.padding, c.params.dilation})
    key.insert(key.end(), values, values + c.x.rank() - 2);
  return key;
}

}  // namespace

bool has_conv_library() { return library().usable; }

std::string conv_library_state() { return library().state; }

bool convolve_by_library(const LibraryConv& c, Stream stream) {
  static std::mutex& mutex = *new std::mutex;
  static std::map<std::vector<int64_t>, Plan>& plans = *new std::map<std::vector<int64_t>, Plan>;
  const Library& l = library();
  if (c.x.dtype == DType::f64 || (c.x.dtype == DType::f32 && c.mode == F32Mode::bf16x3))
    return false;
  const std::scoped_lock lock(mutex);
  const std::vector<int64_t> key = key_of(c);
  auto found = plans.find(key);
  if (found == plans.end()) found = plans.emplace(key, plan_of(c)).first;
  const Plan& plan = found->second;
  if (!plan.engine) return false;
  Scratch scratch;
  void* const workspace = scratch.take<unsigned char>(plan.workspace);
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  const int64_t names[] = {kX, kW, kY};
  void* const data[] = {c.x.data, c.w.data, c.y.data};
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, names, 3);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, data, 3);
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace);
  pack.finalize();
  check_dnn(l.set_stream(l.handle, stream.handle), "SetStream");
  check_dnn(l.execute(l.handle, plan.engine->handle(), pack.handle()), "BackendExecute");
  return true;
}

}  // namespace brume::cuda

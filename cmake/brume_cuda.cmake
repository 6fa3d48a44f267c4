# BRUME_CUDA: where the CUDA backend comes from.
#   OFF       none; core/backend.cpp says so
#   ON        nvcc compiles cuda/kernels/*.cu and what the toolkit has as templates, cuda/lib/*.cu
#   EMULATED  the C++ compiler compiles the same kernels against cuda/emu, which runs them on the CPU
# Its objects become part of core's archive: core calls cuda_backend() and the linker finds it there,
# so there is neither a registration nor a cycle between libraries.

if(BRUME_CUDA STREQUAL "ON")
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "brume: BRUME_CUDA=ON needs nvcc (CUDA 12.2 or later), and none was found. "
      "Put it on PATH or set CMAKE_CUDA_COMPILER; without it use BRUME_CUDA=EMULATED or OFF")
  endif()
  # Machine code for Hopper, PTX for every GPU from Ampere on.
  set(CMAKE_CUDA_ARCHITECTURES "90a-real;80-virtual" CACHE STRING "GPUs to compile for")
  enable_language(CUDA)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.2)
    message(FATAL_ERROR "brume: BRUME_CUDA=ON needs CUDA 12.2 or later (C++20 in device code), "
      "but ${CMAKE_CUDA_COMPILER} is ${CMAKE_CUDA_COMPILER_VERSION}")
  endif()
elseif(BRUME_CUDA STREQUAL "EMULATED")
  if(BRUME_SANITIZE MATCHES "thread")
    message(FATAL_ERROR "brume: the emulator's fibers confuse the thread sanitizer; "
      "use BRUME_SANITIZE=address,undefined, or BRUME_CUDA=OFF")
  endif()
elseif(NOT BRUME_CUDA STREQUAL "OFF")
  message(FATAL_ERROR "brume: BRUME_CUDA must be OFF, ON or EMULATED, not ${BRUME_CUDA}")
endif()

function(brume_cuda_backend)
  if(BRUME_CUDA STREQUAL "OFF")
    return()
  endif()
  set(cuda ${PROJECT_SOURCE_DIR}/cuda)
  file(GLOB host CONFIGURE_DEPENDS ${cuda}/*.cpp ${cuda}/lib/*.cpp)
  file(GLOB kernels CONFIGURE_DEPENDS ${cuda}/kernels/*.cu)
  # cuDNN's header is no part of the toolkit, cuFFT's not of every installation of it; the libraries
  # are opened when they are asked for.
  set(unused ${cuda}/lib/absent_conv_library.cpp ${cuda}/lib/absent_fft_library.cpp)
  if(BRUME_CUDA STREQUAL "ON")
    find_package(CUDAToolkit REQUIRED)
    find_file(BRUME_CUDNN_HEADER cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    if(NOT BRUME_CUDNN_HEADER)
      list(TRANSFORM unused REPLACE absent_conv conv)
    endif()
    find_file(BRUME_CUFFT_HEADER cufftXt.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    if(NOT BRUME_CUFFT_HEADER)
      list(TRANSFORM unused REPLACE absent_fft fft)
    endif()
  endif()
  list(REMOVE_ITEM host ${unused})
  add_library(brume_cuda OBJECT ${host} ${kernels})
  set_target_properties(brume_cuda PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(brume_cuda PRIVATE ${BRUME_INCLUDE_DIR})
  target_link_libraries(brume_cuda PRIVATE brume_own_flags)
  target_sources(brume_core PRIVATE $<TARGET_OBJECTS:brume_cuda>)
  target_compile_definitions(brume_core PRIVATE BRUME_CUDA)
  if(BRUME_CUDA STREQUAL "ON")
    file(GLOB templates CONFIGURE_DEPENDS ${cuda}/lib/*.cu)
    target_sources(brume_cuda PRIVATE ${templates})
    find_file(BRUME_CUBLASLT_HEADER cublasLt.h HINTS ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
    target_compile_features(brume_cuda PRIVATE cxx_std_20)
    # -std stands here because CMake learned of C++20 in CUDA after 3.25.
    target_compile_options(brume_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;\
--expt-relaxed-constexpr;-lineinfo;-Werror=all-warnings;-Xcompiler=-Wall,-Wextra,-Wno-unknown-pragmas>")
    target_include_directories(brume_cuda SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
    target_link_libraries(brume_core PUBLIC CUDA::cudart_static)
  else()
    file(GLOB emulator CONFIGURE_DEPENDS ${cuda}/emu/*.cpp)
    target_sources(brume_cuda PRIVATE ${emulator})
    target_compile_features(brume_cuda PRIVATE cxx_std_20)
    target_compile_definitions(brume_cuda PRIVATE BRUME_CUDA_EMULATED)
    set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)
    set_source_files_properties(${cuda}/kernels/random.cu PROPERTIES
      COMPILE_OPTIONS "${BRUME_RANDOM_FLAGS}")
    brume_emulated_cuda(brume_cuda)
  endif()
endfunction()

# For a target whose kernels run on the CPU: <cuda_runtime.h> is the emulator's, whatever toolkit
# the machine has, and nvcc's pragmas mean nothing.
function(brume_emulated_cuda target)
  target_include_directories(${target} BEFORE PRIVATE ${PROJECT_SOURCE_DIR}/cuda/emu)
  target_compile_options(${target} PRIVATE -Wno-unknown-pragmas)
endfunction()

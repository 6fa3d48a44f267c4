# The five components: each folder's sources become one static library that links only along the
# arrows of docs/architecture.md.

find_package(Threads REQUIRED)

find_path(BRUME_JSON_INCLUDE_DIR nlohmann/json.hpp)
if(NOT BRUME_JSON_INCLUDE_DIR)
  message(FATAL_ERROR "brume: the JSON header is missing; install the package nlohmann-json3-dev")
endif()
if(BRUME_PNG)
  find_package(PNG)
  if(NOT PNG_FOUND)
    message(FATAL_ERROR "brume: libpng is missing; install the package libpng-dev, or configure with -DBRUME_PNG=OFF")
  endif()
endif()
if(BRUME_ZIP)
  find_package(PkgConfig)
  if(PKG_CONFIG_FOUND)
    pkg_check_modules(BRUME_LIBZIP IMPORTED_TARGET libzip)
  endif()
  if(NOT BRUME_LIBZIP_FOUND)
    message(FATAL_ERROR "brume: libzip is missing; install the packages libzip-dev and pkg-config, or configure with -DBRUME_ZIP=OFF")
  endif()
endif()

# One spelling of headers for everybody: <brume/core/tensor.h>. Links where the system allows
# them, copies elsewhere.
set(BRUME_INCLUDE_DIR ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${BRUME_INCLUDE_DIR}/brume)
foreach(entry brume.h core autograd nn diffusion cuda)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${entry} ${BRUME_INCLUDE_DIR}/brume/${entry}
       COPY_ON_ERROR SYMBOLIC)
endforeach()

# Flags for our own code only; they never reach a consumer. CMake's -O3 is for loops that a compiler
# has to unroll: the kernels unroll by hand and take -O2, which compiles a third faster. Code that
# only calls kernels (brume_calls_kernels) takes -O1, a quarter faster again. Nobody reads errno after
# a square root; without it, sqrt of a vector is one instruction (five times faster).
add_library(brume_own_flags INTERFACE)
set(cxx_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion)
if(PROJECT_IS_TOP_LEVEL)  # a new compiler's new warnings must not stop somebody else's build
  list(APPEND cxx_warnings -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Passing vectors wider than the baseline between inlined functions is what simd.h does.
  list(APPEND cxx_warnings -Wno-psabi)
endif()
target_compile_options(brume_own_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:$<$<OR:$<CONFIG:Release>,$<CONFIG:>>:-O$<IF:$<BOOL:$<TARGET_PROPERTY:BRUME_CALLS_KERNELS>>,1,2>>;-fno-math-errno;${cxx_warnings}>")

# Most of a small file's time goes into the headers that it shares with its neighbours: compiled eight
# at a time they take half as long. Names in anonymous namespaces must differ within a target then.
function(brume_unity_build target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${BRUME_UNITY_BUILD} UNITY_BUILD_BATCH_SIZE 8)
endfunction()
# No loops over elements: -O1 will do.
function(brume_calls_kernels target)
  set_target_properties(${target} PROPERTIES BRUME_CALLS_KERNELS ON)
endfunction()
if(BRUME_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A type of an anonymous namespace is no less private for the file that includes its file.
  target_compile_options(brume_own_flags INTERFACE -Wno-subobject-linkage)
endif()

if(BRUME_SANITIZE)
  # GCC 12 sees bounds, overflows and uninitialised values in its own instrumentation that are not
  # there.
  set(sanitize -fsanitize=${BRUME_SANITIZE} -fno-omit-frame-pointer -g1 -Wno-array-bounds
      -Wno-maybe-uninitialized -Wno-stringop-overflow)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${sanitize}>")
  add_link_options(-fsanitize=${BRUME_SANITIZE})
  add_compile_definitions(BRUME_SANITIZE)
endif()

set(BRUME_ISAS portable)
if(BRUME_ISA_VARIANTS AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  list(APPEND BRUME_ISAS avx2 avx512)
endif()
set(BRUME_ISA_FLAGS_portable "")
set(BRUME_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(BRUME_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
    -mprefer-vector-width=512)
set(BRUME_ISA_BYTES_portable 16)
set(BRUME_ISA_BYTES_avx2 32)
set(BRUME_ISA_BYTES_avx512 64)

# Random numbers have the same bits everywhere: no a * b + c may become one instruction.
set(BRUME_RANDOM_FLAGS -ffp-contract=off)
set(BRUME_FLAGS_OF_random_fills ${BRUME_RANDOM_FLAGS})
set(BRUME_FLAGS_OF_optim -fno-math-errno)
set_source_files_properties(core/cpu/random.cpp core/random.cpp PROPERTIES COMPILE_OPTIONS "${BRUME_RANDOM_FLAGS}")

# Every .inl of the folder is compiled once per instruction set, in a namespace of that name.
function(brume_isa_sources target folder)
  list(LENGTH BRUME_ISAS isas)
  if(isas GREATER 1)
    target_compile_definitions(${target} PRIVATE BRUME_X86_VARIANTS)
  endif()
  file(GLOB inls CONFIGURE_DEPENDS ${folder}/*.inl)
  foreach(inl ${inls})
    get_filename_component(stem ${inl} NAME_WE)
    foreach(isa ${BRUME_ISAS})
      set(source ${PROJECT_BINARY_DIR}/isa/${stem}_${isa}.cpp)
      file(CONFIGURE OUTPUT ${source} CONTENT "#include \"@inl@\"\n" @ONLY)
      set_source_files_properties(${source} PROPERTIES
        COMPILE_OPTIONS "${BRUME_ISA_FLAGS_${isa}};${BRUME_FLAGS_OF_${stem}}"
        COMPILE_DEFINITIONS "BRUME_ISA=${isa};BRUME_VECTOR_BYTES=${BRUME_ISA_BYTES_${isa}}"
        OBJECT_DEPENDS ${inl})
      target_sources(${target} PRIVATE ${source})
    endforeach()
  endforeach()
endfunction()

function(brume_component name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${name}/*.cpp)
  if(BRUME_PNG)
    list(FILTER sources EXCLUDE REGEX "core/io/png_absent\\.cpp$")
  else()
    list(FILTER sources EXCLUDE REGEX "core/io/png\\.cpp$")
  endif()
  if(BRUME_ZIP)
    list(FILTER sources EXCLUDE REGEX "core/io/zip_absent\\.cpp$")
  else()
    list(FILTER sources EXCLUDE REGEX "core/io/zip(_writer)?\\.cpp$")
  endif()
  add_library(brume_${name} STATIC ${sources})
  add_library(brume::${name} ALIAS brume_${name})
  set_target_properties(brume_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_compile_features(brume_${name} PUBLIC cxx_std_20)
  target_include_directories(brume_${name} PUBLIC $<BUILD_INTERFACE:${BRUME_INCLUDE_DIR}>)
  target_link_libraries(brume_${name} PRIVATE $<BUILD_INTERFACE:brume_own_flags>)
  target_include_directories(brume_${name} SYSTEM PUBLIC
    $<BUILD_INTERFACE:${BRUME_JSON_INCLUDE_DIR}>)  # core/json.h names the type
  brume_unity_build(brume_${name})
  foreach(needed ${ARGN})
    target_link_libraries(brume_${name} PUBLIC brume_${needed})
  endforeach()
  if(name STREQUAL core)
    target_link_libraries(brume_core PUBLIC Threads::Threads)
    # Kernel files are long, share few headers, and have a `Problem` or `Row` of their own each.
    set(kernels ${sources})
    list(FILTER kernels INCLUDE REGEX "core/cpu/")
    set_source_files_properties(${kernels} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    if(BRUME_PNG)
      target_link_libraries(brume_core PRIVATE PNG::PNG)
    endif()
    if(BRUME_ZIP)
      target_link_libraries(brume_core PRIVATE PkgConfig::BRUME_LIBZIP)
    endif()
    brume_isa_sources(brume_core ${PROJECT_SOURCE_DIR}/core/cpu/isa)
  elseif(name MATCHES "^(nn|diffusion)$")
    brume_calls_kernels(brume_${name})
    # It makes every class of nn, which takes as long as twenty other files.
    set_source_files_properties(${PROJECT_SOURCE_DIR}/nn/builtin.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

include(brume_cuda)

# BRUME_CUDA = OFF | ON | EMULATED: where the CUDA backend comes from.

function(brume_cuda_backend)
  if(BRUME_CUDA STREQUAL "OFF")
    return()
  endif()
  message(FATAL_ERROR "brume: BRUME_CUDA=${BRUME_CUDA} is not built yet")
endfunction()

#pragma once
// All operations: includes every header of ops/ but pointwise_call.h, which is for those who write
// operations.

#include <brume/autograd/ops/attention.h>
#include <brume/autograd/ops/conv.h>
#include <brume/autograd/ops/fft.h>
#include <brume/autograd/ops/index.h>
#include <brume/autograd/ops/loss.h>
#include <brume/autograd/ops/matmul.h>
#include <brume/autograd/ops/norm.h>
#include <brume/autograd/ops/pointwise.h>
#include <brume/autograd/ops/random.h>
#include <brume/autograd/ops/reduce.h>
#include <brume/autograd/ops/resample.h>
#include <brume/autograd/ops/shape.h>

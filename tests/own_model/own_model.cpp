#include <doctest/doctest.h>

#include <string>

#include <brume/core/io/zip.h>
#include <brume/diffusion/model.h>
#include <brume/diffusion/preconditioners.h>

#include "examples/own_model/wave_denoiser.h"
#include "tests/noise.h"
#include "tests/temporary_folder.h"

using namespace brume;

TEST_CASE("a class of one's own program is saved inside the library's, and loaded by its name") {
  own_model::register_wave_denoiser();
  const auto net = nn::make<diffusion::EDMPreconditioner>(
      {.model = nn::make<own_model::WaveDenoiser>({.features = 2, .width = 8})});
  const Tensor x = noise({3, 2}), sigma = ones({3});
  for (const char* end : {".safetensors", ".mdlus"}) {
    if (std::string(end) == ".mdlus" && !io::has_zip()) continue;
    const test::TemporaryFile file(std::string("own_model") + end);
    nn::save(*net, file.path);
    const diffusion::AnyModel again = diffusion::load(file.path);
    CHECK(distance((*net)(x, sigma), again(x, sigma)) == 0);
  }
}

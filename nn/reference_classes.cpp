#include <brume/nn/reference_classes.h>

#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <brume/core/error.h>
#include <brume/core/io/quote.h>

namespace brume::nn {
namespace {

constexpr const char* kFirstVersion = "0.1.0";

const std::vector<ReferenceClass>& classes() {
  static const std::vector<ReferenceClass> table = {
      {"AFNO", "AFNO", "physicsnemo.models.afno.afno", kFirstVersion},
      {"ConcatConditionWrapper", "ConcatConditionWrapper",
       "physicsnemo.diffusion.utils.model_wrappers", kFirstVersion},
      {"CorrDiffRegressionUNet", "CorrDiffRegressionUNet",
       "physicsnemo.models.diffusion_unets.unet", "0.2.0"},
      {"DhariwalUNet", "DhariwalUNet", "physicsnemo.models.diffusion_unets.dhariwal_unet",
       kFirstVersion},
      {"DiffusionUNet3D", "DiffusionUNet3D",
       "physicsnemo.experimental.models.diffusion_unets.diffusion_unet_3d", kFirstVersion},
      {"DiT", "DiT", "physicsnemo.models.dit.dit", "0.2.0"},
      {"EDMPrecond", "EDMPrecond", "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"EDMPrecondSR", "EDMPrecondSR", "physicsnemo.diffusion.preconditioners.legacy",
       kFirstVersion},
      {"EDMPrecondSuperResolution", "EDMPrecondSuperResolution",
       "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"EDMPreconditioner", "EDMPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"FNO", "FNO", "physicsnemo.models.fno.fno", kFirstVersion},
      {"FullyConnected", "FullyConnected", "physicsnemo.models.mlp.fully_connected", kFirstVersion},
      {"IDDPMPreconditioner", "IDDPMPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"MeshGraphNet", "MeshGraphNet", "physicsnemo.models.meshgraphnet.meshgraphnet",
       kFirstVersion},
      {"ModAFNO", "ModAFNO", "physicsnemo.models.afno.modafno", kFirstVersion},
      {"Pix2Pix", "Pix2Pix", "physicsnemo.models.pix2pix.pix2pix", kFirstVersion},
      {"SRResNet", "SRResNet", "physicsnemo.models.srrn.super_res_net", kFirstVersion},
      {"SongUNet", "SongUNet", "physicsnemo.models.diffusion_unets.song_unet", kFirstVersion},
      {"SongUNetPosEmbd", "SongUNetPosEmbd", "physicsnemo.models.diffusion_unets.song_unet",
       kFirstVersion},
      {"SongUNetPosLtEmbd", "SongUNetPosLtEmbd", "physicsnemo.models.diffusion_unets.song_unet",
       kFirstVersion},
      {"StormCastUNet", "StormCastUNet", "physicsnemo.models.diffusion_unets.unet", kFirstVersion},
      {"Transolver", "Transolver", "physicsnemo.models.transolver.transolver", kFirstVersion},
      {"UNet3D", "UNet", "physicsnemo.models.unet.unet", kFirstVersion},
      {"VEPrecond", "VEPrecond", "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"VEPreconditioner", "VEPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"VPPrecond", "VPPrecond", "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"VPPreconditioner", "VPPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"iDDPMPrecond", "iDDPMPrecond", "physicsnemo.diffusion.preconditioners.legacy",
       kFirstVersion},
  };
  return table;
}

// What an older version wrote that today's arguments do not have.
struct OlderVersion {
  const char *name, *version;
  std::vector<const char*> dropped;
  std::vector<std::pair<const char*, const char*>> renamed;
};

const std::vector<OlderVersion>& older_versions() {
  static const std::vector<OlderVersion> versions = {
      {"CorrDiffRegressionUNet",
       kFirstVersion,
       {"img_channels", "sigma_min", "sigma_max", "sigma_data"},
       {}},
      {"DiT", kFirstVersion, {}, {{"timestep_embed_kwargs", "conditioning_embedder_kwargs"}}}};
  return versions;
}

}  // namespace

ReferenceClass reference_class(const std::string& name) {
  for (const ReferenceClass& c : classes())
    if (name == c.name) return c;
  return {name, name, "brume", kFirstVersion};
}

ReferenceClass reference_class(const std::string& python_name, std::string_view module) {
  // Two classes there are called UNet; the one for images has another name today.
  if (python_name == "UNet")
    return reference_class(module.find(".models.unet") != module.npos ? "UNet3D"
                                                                      : "CorrDiffRegressionUNet");
  for (const ReferenceClass& c : classes())
    if (python_name == c.python_name) return c;
  return {python_name, python_name, "brume", kFirstVersion};
}

void update_arguments(const ReferenceClass& its_class, const std::string& version,
                      const std::string& who, Json& arguments) {
  if (version == its_class.version) return;
  for (const OlderVersion& older : older_versions()) {
    if (version != older.version || its_class.name != older.name) continue;
    for (const char* key : older.dropped) arguments.erase(key);
    for (const auto& [before, after] : older.renamed) {
      const auto found = arguments.find(before);
      if (found == arguments.end()) continue;
      Json value = std::move(*found);
      arguments.erase(before);
      arguments[after] = std::move(value);
    }
    return;
  }
  throw FormatError(cat(who, ": version ", io::quote(version), " of the class ",
                        io::printable(its_class.name), " is not read; today's is ",
                        its_class.version));
}

}  // namespace brume::nn

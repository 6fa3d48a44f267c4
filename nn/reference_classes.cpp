#include <brume/nn/reference_classes.h>

#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <brume/core/error.h>
#include <brume/core/io/quote.h>

namespace brume::nn {
namespace {

constexpr const char* kFirstVersion = "0.1.0";
constexpr const char* kOurs = "brume";  // the module of classes that the reference lacks

const std::vector<ReferenceClass>& classes() {
  // All that derive from the reference's Module; no file there holds another one. Without
  // ConvLayer, TransposeConvLayer, ConvGRULayer and the Conv*FCLayers: their activation is an
  // object, which no file can say.
  static const std::vector<ReferenceClass> table = {
      {"AFNO", "AFNO", "physicsnemo.models.afno.afno", kFirstVersion},
      {"AFNO2DLayer", "AFNO2DLayer", "physicsnemo.nn.module.afno_layers", kFirstVersion},
      {"ConcatConditionWrapper", "ConcatConditionWrapper",
       "physicsnemo.diffusion.utils.model_wrappers", kFirstVersion},
      {"ConvDetokenizer", "ConvDetokenizer", "physicsnemo.nn.module.dit_layers", kFirstVersion},
      {"CorrDiffRegressionUNet", "CorrDiffRegressionUNet",
       "physicsnemo.models.diffusion_unets.unet", "0.2.0"},
      {"DhariwalUNet", "DhariwalUNet", "physicsnemo.models.diffusion_unets.dhariwal_unet",
       kFirstVersion},
      {"DiT", "DiT", "physicsnemo.models.dit.dit", "0.2.0"},
      {"DiTConditionEmbedder", "DiTConditionEmbedder",
       "physicsnemo.nn.module.conditioning_embedders", kFirstVersion},
      {"DiffusionUNet3D", "DiffusionUNet3D",
       "physicsnemo.experimental.models.diffusion_unets.diffusion_unet_3d", kFirstVersion},
      {"EDMConditionEmbedder", "EDMConditionEmbedder",
       "physicsnemo.nn.module.conditioning_embedders", kFirstVersion},
      {"EDMPrecond", "EDMPrecond", "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"EDMPrecondSR", "EDMPrecondSR", "physicsnemo.diffusion.preconditioners.legacy",
       kFirstVersion},
      {"EDMPrecondSuperResolution", "EDMPrecondSuperResolution",
       "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"EDMPreconditioner", "EDMPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"FNO", "FNO", "physicsnemo.models.fno.fno", kFirstVersion},
      {"FourierPositionalEmbedding", "FourierPositionalEmbedding",
       "physicsnemo.nn.module.embedding_layers", kFirstVersion},
      {"FullyConnected", "FullyConnected", "physicsnemo.models.mlp.fully_connected", kFirstVersion},
      {"IDDPMPreconditioner", "IDDPMPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"Linear", "Linear", "physicsnemo.nn.module.fully_connected_layers", kFirstVersion},
      {"MeshGraphNet", "MeshGraphNet", "physicsnemo.models.meshgraphnet.meshgraphnet",
       kFirstVersion},
      {"ModAFNO", "ModAFNO", "physicsnemo.models.afno.modafno", kFirstVersion},
      {"MultiDiffusionModel2D", "MultiDiffusionModel2D",
       "physicsnemo.diffusion.multi_diffusion.models", kFirstVersion},
      {"Natten2DSelfAttention", "Natten2DSelfAttention", "physicsnemo.nn.module.dit_layers",
       kFirstVersion},
      {"OneHotEmbedding", "OneHotEmbedding", "physicsnemo.nn.module.embedding_layers",
       kFirstVersion},
      {"PatchEmbed2DTokenizer", "PatchEmbed2DTokenizer", "physicsnemo.nn.module.dit_layers",
       kFirstVersion},
      {"Pix2Pix", "Pix2Pix", "physicsnemo.models.pix2pix.pix2pix", kFirstVersion},
      {"ProjReshape2DDetokenizer", "ProjReshape2DDetokenizer", "physicsnemo.nn.module.dit_layers",
       kFirstVersion},
      {"RotaryEmbedding2DTables", "RotaryEmbedding2DTables", "physicsnemo.nn.module.rope",
       kFirstVersion},
      {"SRResNet", "SRResNet", "physicsnemo.models.srrn.super_res_net", kFirstVersion},
      {"SinusoidalTimestepEmbedding", "SinusoidalTimestepEmbedding",
       "physicsnemo.nn.module.embedding_layers", kFirstVersion},
      {"SongUNet", "SongUNet", "physicsnemo.models.diffusion_unets.song_unet", kFirstVersion},
      {"SongUNetPosEmbd", "SongUNetPosEmbd", "physicsnemo.models.diffusion_unets.song_unet",
       kFirstVersion},
      {"SongUNetPosLtEmbd", "SongUNetPosLtEmbd", "physicsnemo.models.diffusion_unets.song_unet",
       kFirstVersion},
      {"StormCastUNet", "StormCastUNet", "physicsnemo.models.diffusion_unets.unet", kFirstVersion},
      {"TimmSelfAttention", "TimmSelfAttention", "physicsnemo.nn.module.dit_layers", kFirstVersion},
      {"Transolver", "Transolver", "physicsnemo.models.transolver.transolver", kFirstVersion},
      {"UNet3D", "UNet", "physicsnemo.models.unet.unet", kFirstVersion},
      {"VEPrecond", "VEPrecond", "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"VEPreconditioner", "VEPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"VPPrecond", "VPPrecond", "physicsnemo.diffusion.preconditioners.legacy", kFirstVersion},
      {"VPPreconditioner", "VPPreconditioner",
       "physicsnemo.diffusion.preconditioners.preconditioners", kFirstVersion},
      {"ZeroConditioningEmbedder", "ZeroConditioningEmbedder",
       "physicsnemo.nn.module.conditioning_embedders", kFirstVersion},
      {"iDDPMPrecond", "iDDPMPrecond", "physicsnemo.diffusion.preconditioners.legacy",
       kFirstVersion},
  };
  return table;
}

bool is_the_references(std::string_view module) {
  return module.starts_with("physicsnemo.") || module.starts_with("modulus.") || module == kOurs;
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

// Names that the reference takes for another: any kind of embedding of places that it does not know
// is none.
void settle_names(const ReferenceClass& its_class, Json& arguments) {
  if (its_class.name == "DiT" && arguments.contains("tokenizer_kwargs"))
    return settle_names(reference_class("PatchEmbed2DTokenizer"), arguments["tokenizer_kwargs"]);
  if (its_class.name != "PatchEmbed2DTokenizer" || !arguments.is_object()) return;
  const auto kind = arguments.find("pos_embed");
  if (kind != arguments.end() && kind->is_string() && *kind != "learnable") *kind = "none";
}

}  // namespace

ReferenceClass reference_class(const std::string& name) {
  for (const ReferenceClass& c : classes())
    if (name == c.name) return c;
  return {name, name, kOurs, kFirstVersion};
}

ReferenceClass reference_class(const std::string& python_name, std::string_view module) {
  const ReferenceClass as_it_says{python_name, python_name, std::string(module), kFirstVersion};
  if (!is_the_references(module)) return as_it_says;
  // Two classes there are called UNet; the one for images has another name today.
  if (python_name == "UNet")
    return reference_class(module.find(".models.unet") != module.npos ? "UNet3D"
                                                                      : "CorrDiffRegressionUNet");
  for (const ReferenceClass& c : classes())
    if (python_name == c.python_name) return c;
  return as_it_says;
}

void update_arguments(const ReferenceClass& its_class, const std::string& version,
                      const std::string& who, Json& arguments) {
  settle_names(its_class, arguments);
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

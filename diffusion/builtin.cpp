#include <brume/diffusion/builtin.h>

#include <brume/diffusion/adapters.h>
#include <brume/diffusion/backbones.h>
#include <brume/diffusion/legacy/preconditioners.h>
#include <brume/diffusion/multi_diffusion/model.h>
#include <brume/diffusion/operator_adapters.h>
#include <brume/diffusion/preconditioners.h>

namespace brume::diffusion {

void register_builtin() {
  static const bool once = [] {
    register_backbones();
    register_model<SongUNetAdapter>("SongUNetAdapter");
    register_model<FullyConnectedAdapter>("FullyConnectedAdapter");
    register_model<FNOAdapter>("FNOAdapter");
    register_model<AFNOAdapter>("AFNOAdapter");
    register_model<UNet3DAdapter>("UNet3DAdapter");
    register_model<Pix2PixAdapter>("Pix2PixAdapter");
    register_model<ModAFNOAdapter>("ModAFNOAdapter");
    register_model<MeshGraphNetAdapter>("MeshGraphNetAdapter");
    register_model<TransolverAdapter>("TransolverAdapter");
    register_model<ConcatConditionWrapper>("ConcatConditionWrapper");
    register_model<EDMPreconditioner>("EDMPreconditioner");
    register_model<VPPreconditioner>("VPPreconditioner");
    register_model<VEPreconditioner>("VEPreconditioner");
    register_model<IDDPMPreconditioner>("IDDPMPreconditioner");
    register_model<VPPrecond>("VPPrecond");
    register_model<VEPrecond>("VEPrecond");
    register_model<iDDPMPrecond>("iDDPMPrecond");
    register_model<EDMPrecond>("EDMPrecond");
    register_model<EDMPrecondSuperResolution>("EDMPrecondSuperResolution");
    register_model<EDMPrecondSR>("EDMPrecondSR");
    register_model<VEPrecond_dfsr>("VEPrecond_dfsr");
    register_model<VEPrecond_dfsr_cond>("VEPrecond_dfsr_cond");
    register_model<MultiDiffusionModel2D>("MultiDiffusionModel2D");
    return true;
  }();
  (void)once;
}

}  // namespace brume::diffusion

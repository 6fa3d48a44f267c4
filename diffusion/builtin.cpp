#include <brume/diffusion/builtin.h>

#include <brume/diffusion/adapters.h>
#include <brume/diffusion/backbones.h>
#include <brume/diffusion/preconditioners.h>

namespace brume::diffusion {

void register_builtin() {
  static const bool once = [] {
    register_backbones();
    register_model<SongUNetAdapter>("SongUNetAdapter");
    register_model<ConcatConditionWrapper>("ConcatConditionWrapper");
    register_model<EDMPreconditioner>("EDMPreconditioner");
    return true;
  }();
  (void)once;
}

}  // namespace brume::diffusion

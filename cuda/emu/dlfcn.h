#pragma once
// Stands in for the system's header of this name: the libraries that brume opens by name are the
// emulator's twins.

#define RTLD_NOW 2
#define RTLD_LOCAL 0

/// Null for a library that has no twin, and with BRUME_EMU_LIBRARIES=none.
void* dlopen(const char* file, int flags);
void* dlsym(void* library, const char* name);

"""Is a written description true to its clip?"""

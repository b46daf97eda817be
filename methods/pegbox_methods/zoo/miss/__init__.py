"""MiSS: one thin matrix for each linear map, shared by all blocks of its inputs."""

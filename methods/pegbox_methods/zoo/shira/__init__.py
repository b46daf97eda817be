"""SHiRA: a few of each linear map's own weights are trained, drawn by chance."""

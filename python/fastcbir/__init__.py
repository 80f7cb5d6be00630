"""fastcbir: content-based image retrieval, from the pixel to the ranked answer."""

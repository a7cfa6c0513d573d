"""Furniture meshes for procedural rooms: catalogues, OBJ files and ray tracing."""

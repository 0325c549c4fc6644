"""The renderer of the embedded world: scenes with exact depth, motion, masks and whole objects.

meshes, library        unit models as triangles
patterns, textures     surfaces
families               where things stand: rooms and open scenes
furniture, merged      models of several parts; all bodies in one tree
lighting, snapshot     scenes that look like photographs: their light, and how they come about
scene, staging         a scene at two instants: hero, occluder, camera and motion
raycast, tracing       which triangle a ray meets
motion, shading        flow and occlusion; light and colour
"""

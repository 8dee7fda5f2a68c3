# BCCD: 205 training, 87 validation and 72 test images of blood cells under the microscope, 640 x 480, 3 classes.
_base_ = './parts/xml_detection.py'
data_root = 'data/bccd'
classes = ('RBC', 'WBC', 'Platelets')
num_classes = len(classes)
image_scale = (640, 480)

package io.jenkins.tools.pluginmanager.cli;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.jar.JarFile;
import java.util.jar.Manifest;

/** What comes over HTTP or from files, and whether it is what it should be. */
final class Downloads {
    private static final int TRIES = 3;
    private static final int MILLISECONDS = 30_000;

    private Downloads() {
    }

    static String text(String url) throws IOException {
        try (InputStream stream = open(url)) {
            return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    private static InputStream open(String url) throws IOException {
        URLConnection connection = new URL(url).openConnection();
        connection.setConnectTimeout(MILLISECONDS);
        connection.setReadTimeout(MILLISECONDS);
        if (connection instanceof HttpURLConnection) {
            int status = ((HttpURLConnection) connection).getResponseCode();
            if (status != HttpURLConnection.HTTP_OK) {
                throw new IOException("status code: " + status + ", reason phrase: "
                        + ((HttpURLConnection) connection).getResponseMessage());
            }
        }
        return connection.getInputStream();
    }

    /** The URL's content in the file; false, with a message, where it does not come or is no plugin. */
    static boolean plugin(String url, Plugin plugin, File file) {
        if (url.startsWith("file:") ? !copy(url, plugin, file) : !fetch(url, plugin, file)) {
            return false;
        }
        try (JarFile ignored = new JarFile(file)) {
            String actual = sha256(file);
            if (plugin.checksum != null && !plugin.checksum.equals(actual)) {
                System.out.println("Plugin " + plugin.name + ":" + plugin.version + " : invalid checksum, expected: "
                        + plugin.checksum + ", actual: " + actual);
                return false;
            }
        } catch (IOException error) {
            System.out.println("Downloaded file is not a valid ZIP");
            return false;
        }
        return true;
    }

    private static boolean copy(String url, Plugin plugin, File file) {
        File origin = new File(URI.create(url));
        try {
            if (!origin.exists()) {
                System.out.println("Unable to copy plugin URL " + origin.getAbsolutePath()
                        + ", original file does not exists or is not accessible");
                return false;
            }
            Files.copy(origin.toPath(), file.toPath(), StandardCopyOption.REPLACE_EXISTING);
            return true;
        } catch (IOException error) {
            System.out.println("Unable to resolve plugin URL " + url + ", or copy plugin " + plugin.name + " to file: "
                    + error.getMessage());
            return false;
        }
    }

    private static boolean fetch(String url, Plugin plugin, File file) {
        for (int i = 0; i < TRIES; i++) {
            try (InputStream stream = open(url)) {
                Files.copy(stream, file.toPath(), StandardCopyOption.REPLACE_EXISTING);
                return true;
            } catch (IOException error) {
                System.out.println("Unable to resolve plugin URL " + url + ", or download plugin " + plugin.name
                        + " to file: " + error.getMessage());
            }
        }
        return false;
    }

    private static String sha256(File file) throws IOException {
        try {
            return Base64.getEncoder().encodeToString(
                    MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file.toPath())));
        } catch (NoSuchAlgorithmException error) {
            throw new IOException(error);
        }
    }

    /** An attribute of the archive's manifest; null where the archive or the attribute is not there. */
    static String attribute(File file, String name) {
        try (JarFile archive = new JarFile(file)) {
            Manifest manifest = archive.getManifest();
            return manifest == null ? null : manifest.getMainAttributes().getValue(name);
        } catch (IOException error) {
            System.out.println("Unable to open " + file);
            return null;
        }
    }
}
